"""Long work: the queue, the runner, and worker processes that alone import torch."""
