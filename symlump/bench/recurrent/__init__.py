"""Recurrent cells: trained here, made smaller."""
