"""The pure core: it is given events and the time, and returns actions.

`events` lists what can be given to it, `actions` what it can return, and `tables` the
entries that it writes into the switch.
"""
