"""Networks as files of tensors and programs, which load without symlump."""
