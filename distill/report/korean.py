KOREAN = {}
def clauses(who, headline, metric, share): return ""
