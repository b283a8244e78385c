"""One run: batches, network and objective in, predictions out."""
