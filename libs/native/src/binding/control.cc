#include "binding/control.h"

#include <system_error>

#include "binding/convert.h"
#include "clock.h"
#include "control/control_page.h"

namespace interleave::binding {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr double kExecutorsMax = 1 << 16;
constexpr std::int64_t kNsPerMs = 1'000'000;

ControlPage& PageOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) ThrowExpected(info.Env(), "a control page", "page");
  return **info[0].As<Napi::External<MappedControlPage>>().Data();
}

std::uint32_t CountOf(const Napi::Object& object, const char* key, double max) {
  return static_cast<std::uint32_t>(IntegerOf(object, key, max));
}

// The buckets that are not empty: bucket, count, bucket, count.
Napi::Array CountsToJs(Napi::Env env, const ServiceTimes::Counts& counts) {
  Napi::Array array = Napi::Array::New(env);
  std::uint32_t length = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    const std::uint64_t count = counts[bucket].load(kRelaxed);
    if (count == 0) continue;
    array.Set(length++, Napi::Number::New(env, static_cast<double>(bucket)));
    array.Set(length++, Napi::Number::New(env, static_cast<double>(count)));
  }
  return array;
}

}  // namespace

Napi::Value ControlPageOpen(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    auto* page = new MappedControlPage(StringOf(ObjectOf(info[0], "options"), "path"));
    return Napi::External<MappedControlPage>::New(env, page, [](Napi::Env, MappedControlPage* owned) { delete owned; });
  } catch (const std::system_error& error) {
    throw Napi::Error::New(env, error.what());
  }
}

Napi::Value ControlPageControl(const Napi::CallbackInfo& info) {
  ControlPage::Control& control = PageOf(info).control;
  const Napi::Object limits = ObjectOf(info[1], "limits");
  const std::int64_t nowNs = MonotonicNowNs();
  control.withheld.store(CountOf(limits, "withheld", kExecutorsMax), kRelaxed);
  control.halvings.store(CountOf(limits, "halvings", 32), kRelaxed);
  control.floorPermille.store(CountOf(limits, "floorPermille", 1000), kRelaxed);
  if (!BooleanOf(limits, "isHeldOff")) {
    control.heldOffSinceNs.store(0, kRelaxed);
  } else if (control.heldOffSinceNs.load(kRelaxed) == 0 || control.untilNs.load(kRelaxed) <= nowNs) {
    control.heldOffSinceNs.store(nowNs, kRelaxed);
  }
  control.untilNs.store(nowNs + CountOf(limits, "validMs", 60'000) * kNsPerMs, kRelaxed);
  return info.Env().Undefined();
}

Napi::Value ControlPageRead(const Napi::CallbackInfo& info) {
  const ControlPage& page = PageOf(info);
  const Napi::Env env = info.Env();
  const auto number = [env](double value) { return Napi::Number::New(env, value); };
  const bool guards = page.guard.untilNs.load(kRelaxed) > MonotonicNowNs();
  Napi::Object object = Napi::Object::New(env);
  object.Set("running", number(page.activity.running.load(kRelaxed)));
  object.Set("runs", number(static_cast<double>(page.activity.runs.load(kRelaxed))));
  object.Set("floorRuns", number(static_cast<double>(page.activity.floorRuns.load(kRelaxed))));
  object.Set("guardWithdrawn", number(guards ? page.guard.withdrawn.load(kRelaxed) : 0));
  object.Set("guardWithdrawals", number(static_cast<double>(page.guard.withdrawals.load(kRelaxed))));
  object.Set("guardLimit", number(page.guard.limit.load(kRelaxed)));
  object.Set("guardLatest", number(page.guard.latest.load(kRelaxed)));
  return object;
}

Napi::Array ServiceToJs(Napi::Env env, const ServedModels& models) {
  const std::vector<ServedModels::StatsRow> rows = models.Stats();
  Napi::Array array = Napi::Array::New(env, rows.size());
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    const ServiceTimes& service = rows[i].stats->service;
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", rows[i].name);
    object.Set("version", rows[i].version);
    object.Set("shared", CountsToJs(env, service.counts(Company::kShared)));
    object.Set("alone", CountsToJs(env, service.counts(Company::kAlone)));
    object.Set("other", CountsToJs(env, service.counts(Company::kOther)));
    array.Set(i, object);
  }
  return array;
}

}  // namespace interleave::binding
