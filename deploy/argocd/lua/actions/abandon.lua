-- Lets an index go that is being deleted and waits for a Redis that is gone for good; what it remembered stays there.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["tollway.dev/abandon"] = "true"
return obj
