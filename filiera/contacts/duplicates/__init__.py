"""Who may be one person: the rule that says so for certain, and the score that gives people reasons to decide."""
