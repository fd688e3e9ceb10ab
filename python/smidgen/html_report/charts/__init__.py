"""Charts as SVG inside the page, which asks the network for nothing."""
