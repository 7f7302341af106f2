-- The health of an Application, without which the Application of Applications does not wait between its waves.
local found = (obj.status or {}).health or {}
return { status = found.status or "Progressing", message = found.message or "" }
