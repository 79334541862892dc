-- What a record has when it leaves: the line as it was written (log), the labels (namespace, app,
-- container, level) and the structured metadata (pod, node, pipeline, stream, run).

local LEVELS = {
    trace = "trace", debug = "debug", info = "info", warn = "warn", warning = "warn",
    error = "error", err = "error", critical = "error", fatal = "error", panic = "error",
}

-- A label needs a small set of values, so what an application calls its level is mapped, never copied.
local function level_of(json, line)
    local said = json.level
    if type(said) ~= "string" then
        said = line:match("level=\"?(%a+)")
    end
    return said and LEVELS[said:lower()] or "unknown"
end

local function text(value)
    if type(value) == "string" and value ~= "" then
        return value
    end
end

function shape(_, timestamp, record)
    local kubernetes = record.kubernetes or {}
    local labels = kubernetes.labels or {}
    local json = type(record.json) == "table" and record.json or {}
    local line = record.log or ""
    return 2, timestamp, {
        log = line,
        namespace = kubernetes.namespace_name,
        app = labels["app.kubernetes.io/name"] or kubernetes.container_name,
        container = kubernetes.container_name,
        level = level_of(json, line),
        pod = kubernetes.pod_name,
        node = os.getenv("NODE_NAME"),
        pipeline = text(json.pipeline),
        stream = text(json.stream),
        run = text(json.run),
    }
end
