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

std::int64_t NsOf(const Napi::Value& value, const char* name) {
  return static_cast<std::int64_t>(IntegerOf(value, name, kIntegerMax));
}

const Table& TableOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) ThrowExpected(info.Env(), "a cost table", "table");
  return *info[0].As<Napi::External<Table>>().Data();
}

double WaitFactorOf(const Napi::Value& value, const char* name) {
  const double factor = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (factor == 0) return kWaitFactorStart;
  if (!(factor >= kWaitFactorMin && factor <= kWaitFactorMax)) ThrowExpected(value.Env(), "0 or 1.25 to 4", name);
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
  const auto executors = static_cast<std::int64_t>(IntegerOf(info[1], "executors", kExecutorsMax));
  const Admission admission = interleave::Admit({.backlogNs = NsOf(info[0], "backlogNs"),
                                                 .executors = std::max<std::int64_t>(1, executors),
                                                 .costHighNs = NsOf(info[2], "costHighNs"),
                                                 .timeoutNs = NsOf(info[3], "timeoutNs"),
                                                 .waitFactor = WaitFactorOf(info[4], "waitFactor")});
  return Napi::Number::New(info.Env(), static_cast<double>(admission.retryAfterNs));
}

Napi::Value WaitFactorAfter(const Napi::CallbackInfo& info) {
  const WaitSample sample{.waitNs = NsOf(info[1], "waitNs"),
                          .costHighNs = NsOf(info[2], "costHighNs"),
                          .elapsedNs = NsOf(info[3], "elapsedNs"),
                          .timeoutNs = NsOf(info[4], "timeoutNs"),
                          .priority = static_cast<std::uint8_t>(IntegerOf(info[5], "priority", UINT8_MAX)),
                          .waitFactor = WaitFactorOf(info[6], "admittedFactor")};
  return Napi::Number::New(info.Env(), interleave::WaitFactorAfter(WaitFactorOf(info[0], "waitFactor"), sample));
}

}  // namespace interleave::binding
