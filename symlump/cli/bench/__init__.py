"""``symlump bench``: one command for each experiment."""
