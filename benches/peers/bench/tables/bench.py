"""What all tables are run with."""

from processes import say

# Each client, and the one that is its limit.
LINES = {"raw-line": "raw-line", "exeunt-call": "raw-line"}
HTTP = {
    "raw-http": "raw-http",
    "exeunt-http": "raw-http",
    "hyper-tuned": "raw-http",
    "hyper": "raw-http",
    "hyper-util": "raw-http",
    "awc": "raw-http",
    "reqwest-rustls": "raw-http",
    "reqwest-openssl": "raw-http",
    "aiohttp": "raw-http",
    "aiohttp-uvloop": "raw-http",
    "exeunt-get": "raw-http",
}

# Those that are run on every TLS library. reqwest on rustls is the same on each: it is there to be compared with.
EVERYWHERE = ("raw", "exeunt", "hyper-tuned", "reqwest-rustls")


class Bench:
    """`names`: the clients. `quick`: fewer and shorter runs. `peers`: whether all are run, or those alone that change with the TLS library, and less often. `others`: programs of other builds, by what is special about them."""

    def __init__(self, server, clients, names, quick, peers, others=None):
        self.server, self.clients, self.quick, self.peers = server, clients, quick, peers
        self.names = set(names)
        self.others = others or {}

    def size(self, full, quick):
        return quick if self.quick else full

    def rounds(self, full=5, elsewhere=3):
        """So many runs of each; `elsewhere`: on another library than the system's."""
        return 3 if self.quick else full if self.peers else min(full, elsewhere)

    def there(self, *clients):
        """Those of them that this build has, and that belong to this run."""
        return [client for client in clients if client in self.names and (self.peers or client.startswith(EVERYWHERE))]

    def rows(self, rows):
        present = self.there(*rows)
        return {row: limit for row, limit in rows.items() if row in present}

    def play(self, table, client, column, figure, scene, row=None, clients=None, **options):
        """A run of this client: its figure is a sample of the column, in the client's row or in that of another name. Several figures: a column for each. `clients`: those of another build."""
        figures = figure if isinstance(figure, dict) else {column: figure}

        def once():
            say(f"  {table.name}: {row or client}, {column}")
            if self.server:
                self.server.afresh()
            told = (clients or self.clients).run(client, scene, self.server, **options)
            for name, of in figures.items():
                table.add(row or client, name, float(told[of]))

        return once
