#include "binding/worker_convert.h"

#include "binding/convert.h"
#include "clock.h"

namespace interleave::binding {
namespace {

constexpr double kRowsMax = 1 << 16;
constexpr double kTokensMax = 1 << 24;
constexpr double kItemsMax = 1 << 20;
constexpr double kAwakeMsMax = 60'000;
constexpr std::int64_t kNsPerMs = 1'000'000;

std::string StringOrEmpty(const Napi::Object& object, const char* key) {
  return object.Get(key).IsNull() ? "" : StringOf(object, key);
}

std::optional<bool> BooleanOrNull(const Napi::Object& object, const char* key) {
  if (object.Get(key).IsNull()) return std::nullopt;
  return BooleanOf(object, key);
}

std::vector<std::string> StringsOf(const Napi::Object& object, const char* key) {
  const Napi::Array array = ArrayOf(object.Get(key), key);
  std::vector<std::string> strings;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value value = array.Get(i);
    if (!value.IsString()) ThrowExpected(object.Env(), "strings", key);
    strings.push_back(value.As<Napi::String>().Utf8Value());
  }
  return strings;
}

std::map<std::string, double> NumbersOf(const Napi::Object& object, const char* key) {
  const Napi::Object record = ObjectOf(object.Get(key), key);
  const Napi::Array names = record.GetPropertyNames();
  std::map<std::string, double> numbers;
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    const Napi::Value value = record.Get(name);
    if (!value.IsNumber()) ThrowExpected(object.Env(), "numbers", key);
    numbers[name] = value.As<Napi::Number>().DoubleValue();
  }
  return numbers;
}

std::map<std::string, std::string> TextsOf(const Napi::Object& object, const char* key) {
  const Napi::Object record = ObjectOf(object.Get(key), key);
  const Napi::Array names = record.GetPropertyNames();
  std::map<std::string, std::string> texts;
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString().Utf8Value();
    texts[name] = StringOf(record, name.c_str());
  }
  return texts;
}

std::vector<std::int64_t> IntegersOf(const Napi::Object& object, const char* key) {
  const Napi::Array array = ArrayOf(object.Get(key), key);
  std::vector<std::int64_t> integers;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    integers.push_back(static_cast<std::int64_t>(IntegerOf(array.Get(i), key, kIntegerMax)));
  }
  return integers;
}

std::int64_t LimitOf(const Napi::Object& object, const char* key, double max) {
  const auto limit = static_cast<std::int64_t>(IntegerOf(object, key, max));
  if (limit == 0) ThrowExpected(object.Env(), "a positive number", key);
  return limit;
}

// Null stands for no name.
std::map<std::string, std::vector<std::string>> AxisNamesOf(const Napi::Object& model) {
  const Napi::Object inputs = ObjectOf(model.Get("inputAxisNames"), "inputAxisNames");
  const Napi::Array names = inputs.GetPropertyNames();
  std::map<std::string, std::vector<std::string>> axes;
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    const std::string input = names.Get(i).ToString();
    const Napi::Array own = ArrayOf(inputs.Get(input), "inputAxisNames");
    for (std::uint32_t d = 0; d < own.Length(); ++d) {
      const Napi::Value name = own.Get(d);
      if (!name.IsNull() && !name.IsString()) ThrowExpected(model.Env(), "names or null", "inputAxisNames");
      axes[input].push_back(name.IsNull() ? "" : name.As<Napi::String>().Utf8Value());
    }
  }
  return axes;
}

MergeRows MergeRowsOf(const Napi::Object& model) {
  const std::string value = StringOf(model, "mergeRows");
  if (value == "auto") return MergeRows::kAuto;
  if (value == "never") return MergeRows::kNever;
  if (value != "always") ThrowExpected(model.Env(), "auto, never or always", "mergeRows");
  return MergeRows::kAlways;
}

// 0: none.
std::int64_t SloNsOf(const Napi::Object& model) {
  const Napi::Value value = model.Get("sloMs");
  if (value.IsNull()) return 0;
  const double sloMs = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (!(sloMs > 0 && sloMs <= INT32_MAX)) ThrowExpected(model.Env(), "a positive number", "sloMs");
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(sloMs * kNsPerMs));
}

// Member by member: GCC destroys members twice when one of a braced list throws.
ModelPlan ModelPlanOf(const Napi::Object& model) {
  ModelPlan plan;
  plan.name = StringOf(model, "name");
  plan.version = StringOf(model, "version");
  plan.revision = RevisionOf(model);
  plan.options.modelPath = StringOf(model, "modelPath");
  plan.options.axes.batchAxisName = StringOrEmpty(model, "batchAxisName");
  plan.options.axes.sequenceAxisNames = StringsOf(model, "sequenceAxisNames");
  plan.options.axes.inputAxisNames = AxisNamesOf(model);
  plan.options.axes.paddingIsSafe = BooleanOrNull(model, "paddingIsSafe");
  plan.options.axes.mergeRows = MergeRowsOf(model);
  plan.options.padValues = NumbersOf(model, "padValues");
  plan.refusal = StringOrEmpty(model, "refusal");
  plan.needBytes = static_cast<std::int64_t>(IntegerOf(model, "needBytes", kIntegerMax));
  plan.loadsLast = BooleanOf(model, "loadsLast");
  plan.runRowsMax = LimitOf(model, "runRowsMax", kRowsMax);
  plan.runTokensMax = LimitOf(model, "runTokensMax", kTokensMax);
  plan.runTimeoutNs = LimitOf(model, "runTimeoutMs", INT32_MAX) * kNsPerMs;
  plan.endsByCost = BooleanOf(model, "endsByCost");
  plan.deduplicate = BooleanOf(model, "deduplicate");
  plan.executorThreads = static_cast<std::size_t>(LimitOf(model, "executorThreads", kExecutorThreadsMax));
  plan.sloNs = SloNsOf(model);
  return plan;
}

int FdOf(const Napi::Object& options) {
  return options.Get("heartbeatFd").IsNull() ? -1 : static_cast<int>(IntegerOf(options, "heartbeatFd", INT32_MAX));
}

// Null where the worker has no GPU.
std::shared_ptr<CudaProvider> CudaOf(const Napi::Object& options) {
  if (options.Get("cuda").IsNull()) return nullptr;
  const Napi::Object cuda = ObjectOf(options.Get("cuda"), "cuda");
  return std::make_shared<CudaProvider>(TextsOf(cuda, "options"), BooleanOf(cuda, "priorityStream"));
}

Napi::Number Number(Napi::Env env, std::uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

Napi::Number Seconds(Napi::Env env, const std::atomic<std::uint64_t>& ns) {
  return Napi::Number::New(env, static_cast<double>(ns.load(std::memory_order_relaxed)) / 1e9);
}

template <class Atomics>
Napi::Array CountsToJs(Napi::Env env, const Atomics& counts) {
  Napi::Array array = Napi::Array::New(env, counts.size());
  for (std::uint32_t i = 0; i < counts.size(); ++i) {
    array.Set(i, Number(env, counts[i].load(std::memory_order_relaxed)));
  }
  return array;
}

Napi::Object StatsRowToJs(Napi::Env env, const ServedModels::StatsRow& row) {
  const ModelStats& stats = *row.stats;
  const auto count = [env](const std::atomic<std::uint64_t>& value) {
    return Number(env, value.load(std::memory_order_relaxed));
  };
  const std::int64_t ageNs =
      row.queueOldestNs == 0 ? 0 : std::max<std::int64_t>(0, MonotonicNowNs() - row.queueOldestNs);
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", row.name);
  object.Set("version", row.version);
  object.Set("runs", count(stats.runs));
  object.Set("rows", count(stats.rows));
  object.Set("realTokens", count(stats.realTokens));
  object.Set("paddedTokens", count(stats.paddedTokens));
  object.Set("runSeconds", Seconds(env, stats.runNs));
  object.Set("runRows", CountsToJs(env, stats.runRows));
  object.Set("formations", CountsToJs(env, stats.formations));
  object.Set("formationSeconds", Seconds(env, stats.formationNs));
  object.Set("duplicates", count(stats.duplicates));
  object.Set("costRatios", CountsToJs(env, stats.costRatios));
  object.Set("costRatioSum", Napi::Number::New(env, stats.costRatioSum.load(std::memory_order_relaxed)));
  object.Set("items", CountsToJs(env, stats.items));
  object.Set("queueItems", Number(env, static_cast<std::uint64_t>(row.queueItems)));
  object.Set("queueAgeSeconds", Napi::Number::New(env, static_cast<double>(ageNs) / 1e9));
  return object;
}

const char* StateName(ToolState state) {
  switch (state) {
    case ToolState::kActive:
      return "active";
    case ToolState::kUnavailable:
      return "unavailable";
    case ToolState::kOff:
      return "off";
  }
  return "";
}

// Beside the worker's socket: it outlives the worker, and goes with the node's run directory.
std::string ProbeRecordPath(const std::string& socketPath, const std::string& modelPath) {
  return socketPath + '.' + std::to_string(std::hash<std::string>{}(modelPath)) + ".probing";
}

}  // namespace

Lane LaneOf(const Napi::Object& options) {
  const std::string lane = StringOf(options, "lane");
  if (lane != "realtime" && lane != "batch") ThrowExpected(options.Env(), "realtime or batch", "lane");
  return lane == "batch" ? Lane::kBatch : Lane::kRealtime;
}

ModelSurroundings SurroundingsOf(const Napi::Object& options) {
  ModelSurroundings surroundings;
  surroundings.socketPath = StringOf(options, "socketPath");
  surroundings.cuda = CudaOf(options);
  return surroundings;
}

WorkerOptions WorkerOptionsOf(const Napi::Object& options, const ModelSurroundings& surroundings) {
  WorkerOptions worker{.id = StringOf(options, "id"),
                       .socketPath = StringOf(options, "socketPath"),
                       .awake = std::chrono::milliseconds(IntegerOf(options, "awakeMs", kAwakeMsMax)),
                       .loopRefusal = StringOrEmpty(options, "loopRefusal"),
                       .plan = {.lane = LaneOf(options),
                                .queueItemsMax = static_cast<std::size_t>(LimitOf(options, "queueItemsMax", kItemsMax)),
                                .heartbeatFd = FdOf(options)}};
  worker.plan.controlPagePath = StringOrEmpty(options, "controlPagePath");
  worker.plan.otherControlPagePaths = StringsOf(options, "otherControlPagePaths");
  const Napi::Array cpus = ArrayOf(options.Get("cpus"), "cpus");
  for (std::uint32_t i = 0; i < cpus.Length(); ++i) {
    worker.plan.cpus.push_back(static_cast<int>(IntegerOf(cpus.Get(i), "cpus", kCpuMax)));
  }
  if (worker.plan.cpus.empty()) ThrowExpected(options.Env(), "at least one CPU", "cpus");
  worker.plan.memoryBytes = static_cast<std::int64_t>(IntegerOf(options, "memoryBytes", kIntegerMax));
  worker.plan.confirmsLoads = BooleanOf(options, "confirmsLoads");
  worker.plan.onGpu = surroundings.cuda != nullptr;
  worker.plan.models = ModelPlansOf(options.Get("models"), surroundings);
  return worker;
}

std::vector<ModelPlan> ModelPlansOf(const Napi::Value& value, const ModelSurroundings& surroundings) {
  const Napi::Array models = ArrayOf(value, "models");
  std::vector<ModelPlan> plans;
  for (std::uint32_t i = 0; i < models.Length(); ++i) {
    ModelPlan& model = plans.emplace_back(ModelPlanOf(ObjectOf(models.Get(i), "models")));
    model.options.cuda = surroundings.cuda;
    model.probeRecordPath = ProbeRecordPath(surroundings.socketPath, model.options.modelPath);
  }
  return plans;
}

std::uint32_t RevisionOf(const Napi::Object& object) {
  return static_cast<std::uint32_t>(LimitOf(object, "revision", UINT32_MAX));
}

std::vector<std::uint32_t> RevisionsOf(const Napi::Object& object, const char* key) {
  const Napi::Array array = ArrayOf(object.Get(key), key);
  std::vector<std::uint32_t> revisions;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    revisions.push_back(static_cast<std::uint32_t>(IntegerOf(array.Get(i), key, UINT32_MAX)));
  }
  return revisions;
}

Napi::Array RevisionsToJs(Napi::Env env, const std::vector<std::uint32_t>& revisions) {
  Napi::Array array = Napi::Array::New(env, revisions.size());
  for (std::uint32_t i = 0; i < revisions.size(); ++i) array.Set(i, revisions[i]);
  return array;
}

CostGrid CostGridOf(const Napi::Object& grid) {
  CostGrid result{.lengths = IntegersOf(grid, "lengths"), .rows = IntegersOf(grid, "rows"), .runNs = {}};
  const Napi::Array runNs = ArrayOf(grid.Get("runNs"), "runNs");
  for (std::uint32_t i = 0; i < runNs.Length(); ++i) {
    const Napi::Array row = ArrayOf(runNs.Get(i), "runNs");
    std::vector<double>& values = result.runNs.emplace_back();
    for (std::uint32_t j = 0; j < row.Length(); ++j) {
      if (!row.Get(j).IsNumber()) ThrowExpected(grid.Env(), "lists of numbers", "runNs");
      values.push_back(row.Get(j).ToNumber().DoubleValue());
    }
  }
  return result;
}

Probe ProbeOf(const Napi::Object& probe) {
  return {.model = nullptr,
          .rows = LimitOf(probe, "rows", kRowsMax),
          .length = LimitOf(probe, "length", kTokensMax),
          .trims = BooleanOf(probe, "trims"),
          .done = {}};
}

Napi::Array StatsToJs(Napi::Env env, const Engine& engine) {
  const std::vector<ServedModels::StatsRow> rows = engine.models().Stats();
  Napi::Array array = Napi::Array::New(env, rows.size());
  for (std::uint32_t i = 0; i < rows.size(); ++i) array.Set(i, StatsRowToJs(env, rows[i]));
  return array;
}

Napi::Object ToolToJs(Napi::Env env, const IsolationTool& tool) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("tool", tool.tool);
  object.Set("state", StateName(tool.state));
  object.Set("reason", tool.reason.empty() ? env.Null() : Napi::String::New(env, tool.reason).As<Napi::Value>());
  return object;
}

Napi::Array ToolsToJs(Napi::Env env, const std::vector<IsolationTool>& tools) {
  Napi::Array array = Napi::Array::New(env, tools.size());
  for (std::uint32_t i = 0; i < tools.size(); ++i) array.Set(i, ToolToJs(env, tools[i]));
  return array;
}

Napi::Array IsolationToJs(Napi::Env env, const Engine& engine) {
  const auto executors = engine.isolation();
  Napi::Array array = Napi::Array::New(env, executors.size());
  for (std::uint32_t i = 0; i < executors.size(); ++i) array.Set(i, ToolsToJs(env, executors[i]));
  return array;
}

}  // namespace interleave::binding
