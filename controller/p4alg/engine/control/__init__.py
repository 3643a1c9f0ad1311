"""Control sessions: the connections and flows that an ALG reads.

An ALG is third-party code to the engine: it is called in one place (`guard`), asks
through one object (`gateway`), and what it asked for is one transaction (`carrier`).
"""
