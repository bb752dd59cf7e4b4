"""AFDE: units that act alike become one."""
