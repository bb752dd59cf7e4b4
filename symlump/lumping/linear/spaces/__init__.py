"""Row spaces, over prime fields and over the rationals, and what they are invariant under."""
