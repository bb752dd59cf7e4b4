"""Networks with convolutions, reduced without retraining."""
