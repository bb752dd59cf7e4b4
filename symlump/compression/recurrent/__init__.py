"""Hidden units of recurrent nets, and states of neural ODEs, merged."""
