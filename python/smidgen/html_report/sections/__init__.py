"""The parts of the page. Each returns None where there is nothing to show."""
