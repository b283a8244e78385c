"""From an official layout on disk, or a generated stand-in, to prepared stores and batches."""
