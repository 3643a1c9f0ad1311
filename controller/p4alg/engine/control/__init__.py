"""Control sessions: the connections and flows that an ALG reads.

An ALG may be anybody's code, and may be wrong. So it is called in one place only (`guard`), and
asks for pinholes at one object only (`gateway`). All that it asked for while it handled a message
is written in one transaction (`carrier`).
"""
