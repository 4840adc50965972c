"""From the documents in this folder to a site that opens from disk: no network, no JavaScript."""
