"""
The console: the state of trust, for people.

Pages are made on the server and read without JavaScript; htmx, where the
package that carries it is installed, only saves whole page loads.
"""
