"""Finding and using equivalences of polynomial differential equations."""
