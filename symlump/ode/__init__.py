"""The object of study: polynomial differential equations with exact coefficients."""
