"""What is known of each activation: its rule, its ranges, its surrogates."""
