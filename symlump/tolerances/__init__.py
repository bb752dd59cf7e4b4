"""The verbs that look for a tolerance, of systems and networks alike, on the plan of any method."""
