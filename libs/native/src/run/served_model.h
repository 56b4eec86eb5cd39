// One model version of a worker: what the plan says, whether it can answer, and what it has done.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "coalesce/coalescer.h"
#include "run/model_costs.h"
#include "run/stats.h"
#include "session/merge_probe.h"

namespace interleave {

// WorkerModelPlan of libs/contracts.
struct ModelPlan {
  std::string name;
  std::string version;
  std::int64_t revision = 0;
  ModelOptions options;
  // Why this worker does not load it; empty: it does.
  std::string refusal{};
  // It killed workers while it was loaded: the others come first.
  bool loadsLast = false;
  std::int64_t runRowsMax = 1;
  std::int64_t runTokensMax = 1;
  std::int64_t runTimeoutNs = 0;
  // Runs far past their predicted cost are ended as well; not where it was said how long they may take.
  bool endsByCost = true;
  // Equal items in flight run once.
  bool deduplicate = true;
  // Goal for the time of a live answer; 0: none.
  std::int64_t sloNs = 0;
  // File of its ProbeRecord; empty: none.
  std::string probeRecordPath{};
};

enum class ModelState : std::uint8_t { kLoading, kReady, kFailed };

// Thread-safe. Loading -> Ready or Failed, once.
class ServedModel {
 public:
  explicit ServedModel(ModelPlan plan) : plan_(std::move(plan)), label_(plan_.name + " version " + plan_.version) {}

  const ModelPlan& plan() const { return plan_; }
  // "name version 1", for messages.
  const std::string& label() const { return label_; }
  ModelStats& stats() { return stats_; }
  const ModelStats& stats() const { return stats_; }
  ModelCosts& costs() { return costs_; }
  const ModelCosts& costs() const { return costs_; }

  // Null unless ready; lives as long as the model.
  Session* session() const { return ready_.load(std::memory_order_acquire); }  // pairs with Load

  // Does a run with these options under the watchdog; throws ProbeEnded when it was ended.
  using Watched = std::function<void(ort::RunOptions* options, const std::function<void()>& run)>;

  // Loads the session and probes whether its rows may share runs, both on the calling thread; never throws.
  void Load(const std::shared_ptr<const ort::OrtLibrary>& library, const Watched& watched);

  // A run of outsized items was made, whose memory is given back with it as far as its outputs allow, and with the
  // next.
  void OweTrim() { owesTrim_.store(true, std::memory_order_relaxed); }
  bool TakeOwedTrim() { return owesTrim_.load(std::memory_order_relaxed) && owesTrim_.exchange(false); }

  ModelState state() const;
  // Why it failed, or for how long it has been loading; empty otherwise.
  std::string reason() const;
  // Whole seconds since its load began; 0 when it is not being loaded.
  std::int64_t loadingS() const;

  // What a run of this model may hold and costs, as of now.
  ModelLimits Limits(Lane lane) const;

 private:
  // Has the session's rows share runs as far as probes allow.
  void Probe(Session& session, const Watched& watched, std::int64_t loadNs) const;
  std::unique_ptr<Session> MakeSession(const std::shared_ptr<const ort::OrtLibrary>& library,
                                       const Watched& watched) const;
  void Fail(const std::string& reason);
  // The longest shared run of a lane.
  std::int64_t RunNsMax(Lane lane) const;

  const ModelPlan plan_;
  const std::string label_;
  ModelStats stats_;
  ModelCosts costs_;
  std::unique_ptr<Session> session_;
  std::atomic<Session*> ready_{nullptr};
  std::atomic<bool> owesTrim_{false};
  std::atomic<std::int64_t> loadSinceNs_{0};  // 0: it is not being loaded
  mutable std::mutex mutex_;                  // guards the two below
  ModelState state_ = ModelState::kLoading;
  std::string reason_;
};

using ServedModels = std::vector<std::unique_ptr<ServedModel>>;

// ModelReport[] of libs/contracts.
std::string ReportsJson(const ServedModels& models);

// WorkerReport of libs/contracts.
std::string WorkerReportJson(const std::string& workerId, Lane lane, const ServedModels& models);

}  // namespace interleave
