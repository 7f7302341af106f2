-- Has an index forget everything that it remembered before now.
local os = require("os") -- Argo CD's own: it has the time, and nothing that could do harm

obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["tollway.dev/purge-before"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
