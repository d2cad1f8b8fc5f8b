-- The health of a ModelDeployment for Argo CD, from the conditions that kstatus (Flux, Helm, kpt) reads too.
local health = {status = "Progressing", message = "the operator has not looked at this generation yet"}
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
for _, condition in ipairs(obj.status.conditions or {}) do
  local told = condition.reason .. ": " .. (condition.message or "")
  if condition.type == "Stalled" and condition.status == "True" then
    return {status = "Degraded", message = told}
  end
  if condition.type == "Ready" then
    health.message = told
    if condition.status == "True" then
      health.status = "Healthy"
    end
  end
end
return health
