"""The web console: a web page and an HTTP API for people who look after gateways.

It is a process of its own and a client of the control sockets of one or several controllers. So
it costs a controller no more than a client does, and a fault here stops no traffic.
"""
