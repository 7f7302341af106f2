-- What can be done to a SemanticCacheIndex as it stands.
local is_going = obj.metadata.deletionTimestamp ~= nil
return {
  abandon = { disabled = not is_going },
  purge = { disabled = is_going },
  rebuild = { disabled = is_going },
}
