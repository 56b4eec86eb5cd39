#include "binding/cost.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "binding/convert.h"
#include "binding/worker_convert.h"
#include "coalesce/admission.h"
#include "coalesce/cost_table.h"

namespace interleave::binding {
namespace {

using Table = std::shared_ptr<const CostTable>;
constexpr double kExecutorsMax = 1 << 20;

std::int64_t NsOf(const Napi::Object& object, const char* key) {
  return static_cast<std::int64_t>(IntegerOf(object, key));
}

const Table& TableOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) ThrowExpected(info.Env(), "a cost table", "table");
  return *info[0].As<Napi::External<Table>>().Data();
}

double WaitFactorOf(const Napi::Object& object, const char* key = "waitFactor") {
  const Napi::Value value = object.Get(key);
  const double factor = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (factor == 0) return kWaitFactorStart;
  if (!(factor >= kWaitFactorMin && factor <= kWaitFactorMax)) ThrowExpected(object.Env(), "0 or 1.25 to 4", key);
  return factor;
}

}  // namespace

Napi::Value CostTableCreate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    Table table = info[0].IsNull() ? CostTable::Analytic()
                                   : std::make_shared<const CostTable>(CostGridOf(ObjectOf(info[0], "grid")));
    return Napi::External<Table>::New(env, new Table(std::move(table)), [](Napi::Env, Table* owned) { delete owned; });
  } catch (const std::invalid_argument& error) {
    throw Napi::RangeError::New(env, error.what());
  }
}

Napi::Value CostTableRunNs(const Napi::CallbackInfo& info) {
  const Table& table = TableOf(info);
  const auto rows = static_cast<std::int64_t>(IntegerOf(info[1], "rows", kIntegerMax));
  const auto length = static_cast<std::int64_t>(IntegerOf(info[2], "length", kIntegerMax));
  return Napi::Number::New(info.Env(), table->RunNs(std::max<std::int64_t>(1, rows), length));
}

Napi::Value CostTableBestRowNs(const Napi::CallbackInfo& info) {
  const Table& table = TableOf(info);
  return Napi::Number::New(info.Env(),
                           table->BestRowNs(static_cast<std::int64_t>(IntegerOf(info[1], "length", kIntegerMax))));
}

Napi::Value Admit(const Napi::CallbackInfo& info) {
  const Napi::Object object = ObjectOf(info[0], "request");
  const auto executors = static_cast<std::int64_t>(IntegerOf(object, "executors", kExecutorsMax));
  const Admission admission = interleave::Admit({.backlogNs = NsOf(object, "backlogNs"),
                                                 .executors = std::max<std::int64_t>(1, executors),
                                                 .costHighNs = NsOf(object, "costHighNs"),
                                                 .timeoutNs = NsOf(object, "timeoutNs"),
                                                 .waitFactor = WaitFactorOf(object)});
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("admitted", admission.admitted);
  result.Set("retryAfterNs", static_cast<double>(admission.retryAfterNs));
  return result;
}

Napi::Value WaitFactorAfter(const Napi::CallbackInfo& info) {
  const Napi::Object object = ObjectOf(info[0], "sample");
  const WaitSample sample{.waitNs = NsOf(object, "waitNs"),
                          .costHighNs = NsOf(object, "costHighNs"),
                          .elapsedNs = NsOf(object, "elapsedNs"),
                          .timeoutNs = NsOf(object, "timeoutNs"),
                          .priority = static_cast<std::uint8_t>(IntegerOf(object, "priority", UINT8_MAX)),
                          .waitFactor = WaitFactorOf(object, "admittedFactor")};
  return Napi::Number::New(info.Env(), interleave::WaitFactorAfter(WaitFactorOf(object), sample));
}

}  // namespace interleave::binding
