#include "binding/simulate.h"

#include <stdexcept>

#include "binding/convert.h"
#include "binding/worker_convert.h"
#include "simulate/simulator.h"

namespace interleave::binding {
namespace {

constexpr double kExecutorsMax = 1024;
constexpr double kModelsMax = 1024;
constexpr double kItemsMax = 1 << 22;
constexpr double kPriorityMax = 255;

std::int64_t SignedOf(const Napi::Object& object, const char* key) {
  return static_cast<std::int64_t>(IntegerOf(object, key));
}

SimulationPlan PlanOf(const Napi::Object& options) {
  const bool isRealtime = StringOf(options, "lane") == "realtime";
  const CostGrid costs = CostGridOf(ObjectOf(options.Get("costs"), "costs"));
  const ModelLimits model{.rowsMax = SignedOf(options, "rowsMax"),
                          .tokensMax = SignedOf(options, "tokensMax"),
                          .cost = std::make_shared<const CostTable>(costs),
                          .runNsMax = isRealtime ? kRealtimeRunNsMax : kBatchRunNsMax};
  return {.lane = isRealtime ? Lane::kRealtime : Lane::kBatch,
          .executors = IntegerOf(options, "executors", kExecutorsMax),
          .models = std::vector<ModelLimits>(IntegerOf(options, "modelsCount", kModelsMax), model),
          .queueItemsMax = IntegerOf(options, "queueItemsMax", kItemsMax),
          .seed = static_cast<std::uint32_t>(IntegerOf(options, "seed", UINT32_MAX))};
}

TraceItem TraceItemOf(const Napi::Object& item) {
  const Napi::Array lengths = ArrayOf(item.Get("lengths"), "lengths");
  if (lengths.Length() != 2) ThrowExpected(item.Env(), "two lengths", "lengths");
  return {.arrivalNs = SignedOf(item, "arrivalNs"),
          .model = static_cast<std::uint32_t>(IntegerOf(item, "model", kModelsMax)),
          .priority = static_cast<std::uint8_t>(IntegerOf(item, "priority", kPriorityMax)),
          .rows = SignedOf(item, "rows"),
          .lengths = {static_cast<std::int64_t>(IntegerOf(lengths.Get(0U), "lengths", CostTable::kLengthMax)),
                      static_cast<std::int64_t>(IntegerOf(lengths.Get(1U), "lengths", CostTable::kLengthMax))},
          .timeoutNs = SignedOf(item, "timeoutNs")};
}

Napi::Object PercentilesToJs(Napi::Env env, const Percentiles& percentiles) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("p50Ns", static_cast<double>(percentiles.p50Ns));
  object.Set("p90Ns", static_cast<double>(percentiles.p90Ns));
  object.Set("p99Ns", static_cast<double>(percentiles.p99Ns));
  object.Set("maxNs", static_cast<double>(percentiles.maxNs));
  return object;
}

Napi::Object ReportToJs(Napi::Env env, const SimulationReport& report) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("items", static_cast<double>(report.items));
  object.Set("answered", static_cast<double>(report.answered));
  object.Set("refused", static_cast<double>(report.refused));
  object.Set("expired", static_cast<double>(report.expired));
  object.Set("late", static_cast<double>(report.late));
  object.Set("simulatedNs", static_cast<double>(report.simulatedNs));
  object.Set("goodput", report.goodput);
  object.Set("latency", PercentilesToJs(env, report.latency));
  object.Set("wait", PercentilesToJs(env, report.wait));
  object.Set("runs", static_cast<double>(report.runs));
  object.Set("waitingItems", report.waitingItems);
  object.Set("rowsPerRun", report.rowsPerRun);
  object.Set("paddedShare", report.paddedShare);
  object.Set("busyShare", report.busyShare);
  object.Set("regret", report.regret);
  return object;
}

}  // namespace

Napi::Value Simulate(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  const Napi::Array items = ArrayOf(options.Get("trace"), "trace");
  std::vector<TraceItem> trace;
  for (std::uint32_t i = 0; i < items.Length(); ++i) trace.push_back(TraceItemOf(ObjectOf(items.Get(i), "trace")));
  try {
    return ReportToJs(info.Env(), interleave::Simulate(trace, PlanOf(options)));
  } catch (const std::invalid_argument& error) {
    throw Napi::RangeError::New(info.Env(), error.what());
  }
}

}  // namespace interleave::binding
