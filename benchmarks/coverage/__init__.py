"""Which published architectures can be imported, trained, converted and run: see __main__."""
