-- The health of a RoutingPolicy, a TenantBudget or a SemanticCacheIndex, by its conditions (docs/conditions.md).
-- Degraded fails a sync that is under way, so it is what nobody but a person mends; everything else that is not yet so is
-- Progressing. Argo CD gives us no `string`.

local made_of = { "Accepted", "ResolvedRefs", "IndexReady", "Programmed", "Ready" }
local beside = { "WithinBudget", "KeysValid", "RedisSound", "AccuracyMet", "QualityMet" } -- what Ready does not sum up
local mended_by_people = {
  EmbeddingUnusable = true,
  IndexRefused = true,
  RedisFull = true,
  RejectedByPod = true,
  SearchModuleMissing = true,
}

local function health(status, message)
  return { status = status, message = message }
end

local said = {}
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  if condition.observedGeneration == obj.metadata.generation then
    said[condition.type] = condition
  end
end

for _, name in ipairs(made_of) do
  local condition = said[name]
  if condition ~= nil and condition.status == "False" then
    local is_mistake = name == "Accepted" or name == "ResolvedRefs"
    if is_mistake or mended_by_people[condition.reason] then
      return health("Degraded", condition.message)
    end
  end
end

for _, name in ipairs(made_of) do
  local condition = said[name]
  if condition ~= nil and condition.status ~= "True" then
    return health("Progressing", condition.message)
  end
end

if said.Ready == nil then
  return health("Progressing", "The operator has not looked at this generation yet.")
end

for _, name in ipairs(beside) do
  local condition = said[name]
  if condition ~= nil and condition.status == "False" then
    return health("Healthy", condition.message)
  end
end

return health("Healthy", said.Ready.message)
