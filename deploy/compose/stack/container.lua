-- What the engine says of a container, in the form that the kubernetes filter gives to shape.lua.
function container(_, timestamp, record)
    local app = record["etl.app"]
    return 2, timestamp, {
        log = record.log,
        json = record,
        kubernetes = {
            namespace_name = "etl-poc",
            container_name = app,
            pod_name = (record.container_name or ""):gsub("^/", ""),
            labels = { ["app.kubernetes.io/name"] = app },
        },
    }
end
