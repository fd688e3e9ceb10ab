"""Generated stubs of the Open Inference Protocol; `make proto` writes them."""
