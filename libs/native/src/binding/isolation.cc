#include "binding/isolation.h"

#include "binding/convert.h"
#include "binding/worker_convert.h"
#include "isolation/process_isolation.h"
#include "isolation/thread_isolation.h"
#include "isolation/wakeup_probe.h"

namespace interleave::binding {
namespace {

constexpr double kNodeMax = 1023;
constexpr double kWakeupsMax = 100'000;
constexpr double kLimitMsMax = 60'000;
constexpr std::int64_t kNsPerMs = 1'000'000;

std::vector<int> IntsOf(const Napi::Object& object, const char* key, double max) {
  const Napi::Array array = ArrayOf(object.Get(key), key);
  std::vector<int> values;
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    values.push_back(static_cast<int>(IntegerOf(array.Get(i), key, max)));
  }
  return values;
}

int CpuOf(const Napi::Object& options) { return static_cast<int>(IntegerOf(options, "cpu", kCpuMax)); }

std::int64_t LimitNsOf(const Napi::Object& options) {
  return static_cast<std::int64_t>(IntegerOf(options, "limitMs", kLimitMsMax)) * kNsPerMs;
}

}  // namespace

Napi::Value IsolateFront(const Napi::CallbackInfo& info) { return ToolToJs(info.Env(), IsolateFrontThread()); }

Napi::Value IsolateProcess(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  return ToolsToJs(info.Env(), interleave::IsolateProcess({
                                   .workerId = StringOf(options, "workerId"),
                                   .lane = LaneOf(options),
                                   .cpus = IntsOf(options, "cpus", kCpuMax),
                                   .numaNodes = IntsOf(options, "numaNodes", kNodeMax),
                                   .memoryBytes = static_cast<std::int64_t>(IntegerOf(options, "memoryBytes")),
                                   .executorsCount = IntegerOf(options, "executors", kCpuMax),
                                   .livePids = IntsOf(options, "livePids", INT32_MAX),
                               }));
}

Napi::Value IsolateDiskWork(const Napi::CallbackInfo& info) {
  return ToolToJs(info.Env(), interleave::IsolateDiskWork());
}

Napi::Value MeasureWakeups(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  const auto count = static_cast<std::size_t>(IntegerOf(options, "count", kWakeupsMax));
  const WakeupDelays measured = interleave::MeasureWakeups(CpuOf(options), count, LimitNsOf(options));
  Napi::Array delaysNs = Napi::Array::New(info.Env(), measured.delaysNs.size());
  for (std::uint32_t i = 0; i < measured.delaysNs.size(); ++i) {
    delaysNs.Set(i, Napi::Number::New(info.Env(), static_cast<double>(measured.delaysNs[i])));
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("delaysNs", delaysNs);
  result.Set("tools", ToolsToJs(info.Env(), measured.tools));
  return result;
}

Napi::Value SpinAsBatch(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  return ToolsToJs(info.Env(), interleave::SpinAsBatch(CpuOf(options), LimitNsOf(options)));
}

}  // namespace interleave::binding
