"""``symlump bench engine``, ``readers``, ``growth``, ``start``."""
