#include "run/served_model.h"

#include <algorithm>

#include "clock.h"
#include "run/load_memory.h"
#include "run/probe_record.h"

namespace interleave {

namespace {

// Probing is as thorough as can be had in this time, or in the time that loading took.
constexpr std::int64_t kThoroughNsMin = 20'000'000;

}  // namespace

void ServedModel::Probe(Session& session, const Watched& watched, std::int64_t loadNs) const {
  const ProbeRecord record(plan_.probeRecordPath);
  const int deaths = record.Deaths(plan_.options.modelPath);
  if (deaths >= ProbeRecord::kDeathsMax && session.signature().coalesce != CoalesceMode::kAlone) {
    return session.LimitMerging(CoalesceMode::kAlone, "the worker died " + std::to_string(deaths) +
                                                          " times while it probed whether rows are independent; " +
                                                          "if they are, set mergeRows: always in model.yaml");
  }
  const ProbeRecord::Probing probing(record, deaths);
  const auto watchedWithHelpers = [&](ort::RunOptions* options, const std::function<void()>& run) {
    watched(options, session.helpers(0), run);
  };
  ProbeMerging(
      session,
      {.watched = watchedWithHelpers, .rowsMax = plan_.runRowsMax, .thoroughNs = std::max(kThoroughNsMin, loadNs)});
}

std::unique_ptr<Session> ServedModel::MakeSession(const std::shared_ptr<const ort::OrtLibrary>& library,
                                                  const Watched& watched) const {
  const std::int64_t startedNs = MonotonicNowNs();
  std::unique_ptr<Session> session = Session::Load(library, plan_.options);
  const std::int64_t loadNs = MonotonicNowNs() - startedNs;
  if (plan_.options.axes.mergeRows != MergeRows::kAlways) Probe(*session, watched, loadNs);
  return session;
}

void ServedModel::Load(const std::shared_ptr<const ort::OrtLibrary>& library, const Watched& watched,
                       bool needsConfirmation) {
  if (!plan_.refusal.empty()) return Fail(plan_.refusal);
  loadFromBytes_ = ResidentBytes();
  loadSinceNs_ = MonotonicNowNs();
  std::unique_ptr<Session> session;
  try {
    session = MakeSession(library, watched);
  } catch (const std::exception& error) {
    return Fail(error.what());
  } catch (...) {
    return Fail("unknown error while loading");
  }
  {
    const std::scoped_lock lock(mutex_);
    loadSinceNs_ = 0;
    session_ = std::move(session);
    isUnconfirmed_ = true;
  }
  if (!needsConfirmation) Confirm("");
}

bool ServedModel::IsUnconfirmed() const {
  const std::scoped_lock lock(mutex_);
  return isUnconfirmed_;
}

void ServedModel::Confirm(const std::string& reason) {
  std::unique_ptr<Session> unwanted;  // freed without the lock
  const std::scoped_lock lock(mutex_);
  if (!isUnconfirmed_) return;
  isUnconfirmed_ = false;
  state_ = reason.empty() ? ModelState::kReady : ModelState::kFailed;
  reason_ = reason;
  if (reason.empty()) {
    ready_.store(session_.get(), std::memory_order_release);  // pairs with session()
  } else {
    unwanted = std::move(session_);
  }
}

void ServedModel::Fail(const std::string& reason) {
  const std::scoped_lock lock(mutex_);
  loadSinceNs_ = 0;
  state_ = ModelState::kFailed;
  reason_ = reason;
}

ModelState ServedModel::state() const {
  const std::scoped_lock lock(mutex_);
  return state_;
}

std::string ServedModel::reason() const {
  const std::int64_t seconds = loadingS();
  if (seconds > 0) return "loading for " + std::to_string(seconds) + " s" + Progress();
  const std::scoped_lock lock(mutex_);
  return reason_;
}

std::int64_t ServedModel::loadingS() const {
  const std::int64_t sinceNs = loadSinceNs_;
  return sinceNs == 0 ? 0 : (MonotonicNowNs() - sinceNs) / 1'000'000'000;
}

std::string ServedModel::Progress() const {
  if (plan_.needBytes == 0) return "";
  const std::int64_t takenBytes = std::max<std::int64_t>(0, ResidentBytes() - loadFromBytes_);
  const std::int64_t percent = std::min<std::int64_t>(99, 100 * takenBytes / plan_.needBytes);
  return ", about " + std::to_string(percent) + " % of " + BytesText(plan_.needBytes);
}

std::int64_t ServedModel::RunNsMax(Lane lane) const {
  if (lane == Lane::kBatch) return kBatchRunNsMax;
  // A quarter: who arrives at the start of a run waits for its end and takes one of his own.
  return plan_.sloNs == 0 ? kRealtimeRunNsMax : std::min(plan_.sloNs / 4, kRealtimeRunNsMax);
}

ModelLimits ServedModel::Limits(Lane lane) const {
  const Session* session = this->session();
  ModelCosts::Snapshot costs = costs_.Now();
  ModelLimits limits{.rowsMax = plan_.runRowsMax,
                     .tokensMax = plan_.runTokensMax,
                     .cost = std::move(costs.table),
                     .ratio = costs.ratio,
                     .runNsMax = RunNsMax(lane),
                     .width = plan_.executorThreads};
  if (session == nullptr) return limits;
  const CoalesceMode mode = session->signature().coalesce;
  // No item fits a shared run then.
  if (mode == CoalesceMode::kAlone || !session->outputAxes().HasRows()) limits.rowsMax = 0;
  limits.equalLengths = mode == CoalesceMode::kEqualLength || !session->outputAxes().IsSettled();
  return limits;
}

}  // namespace interleave
