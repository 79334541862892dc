-- luajit shape_test.lua SHAPE: what becomes of records as the tail input and the kubernetes filter give them.
dofile(arg[1])

local TAG = "kube.var.log.containers.etl-orders-29401-abcde_etl-poc_etl-job-" .. ("0"):rep(64) .. ".log"
local problems = 0

local function expect(name, tag, record, wanted)
    local code, time, got = shape(tag, 42, record)
    local function check(key, value)
        if got[key] ~= value then
            problems = problems + 1
            print(("%s: %s is %s, expected %s"):format(name, key, tostring(got[key]), tostring(value)))
        end
    end
    for key, value in pairs(wanted) do check(key, value ~= "none" and value or nil) end
    check("json", nil)
    check("kubernetes", nil)
    if code ~= 2 or time ~= 42 then
        problems = problems + 1
        print(name .. ": time or code changed")
    end
end

local function line(json, text) return { log = text or "{}", json = json } end

local run = line({ level = "WARN", pipeline = "orders", stream = "public.orders", run = "0198" }, '{"level":"WARN"}')
run.kubernetes = { labels = { ["app.kubernetes.io/name"] = "etl-job", ["job-name"] = "etl-orders-29401" } }
expect("a line of a run", TAG, run, {
    log = '{"level":"WARN"}', namespace = "etl-poc", app = "etl-job", container = "etl-job", level = "warn",
    pod = "etl-orders-29401-abcde", pipeline = "orders", stream = "public.orders", run = "0198",
})
expect("no answer from the API server", TAG, line({ level = "INFO" }), {
    namespace = "etl-poc", app = "etl-job", container = "etl-job", pod = "etl-orders-29401-abcde", level = "info",
})
expect("a pod whose name has dots",
    "kube.var.log.containers.etcd-node1.example.org_kube-system_etcd-" .. ("a"):rep(64) .. ".log", line(nil),
    { pod = "etcd-node1.example.org", namespace = "kube-system", container = "etcd" })
expect("a failed summary", TAG, line({ outcome = "failed", run = "0198" }), { level = "error", run = "0198" })
expect("a good summary", TAG, line({ outcome = "success" }), { level = "info" })
expect("an outcome nobody knows", TAG, line({ outcome = "exploded" }), { level = "unknown" })
expect("logfmt", TAG, line(nil, 'ts=1 level=error msg="x"'), { level = "error", run = "none" })
expect("plain text", TAG, line(nil, "thread main panicked"), { level = "unknown", pipeline = "none" })
expect("a level of somebody's own", TAG, line({ level = "0198-not-a-level" }), { level = "unknown" })
expect("fields of other types", TAG, line({ level = 30, run = { 1 }, pipeline = "" }),
    { level = "unknown", run = "none", pipeline = "none" })
expect("JSON that is no object", TAG, line("text", '"text"'), { level = "unknown" })

if problems > 0 then os.exit(1) end
print("shape.lua: as expected")
