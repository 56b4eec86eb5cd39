// One model version of a worker: what the plan says, whether it can answer, and what it has done.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "coalesce/coalescer.h"
#include "run/model_costs.h"
#include "run/stats.h"
#include "run/teams.h"
#include "session/merge_probe.h"

namespace interleave {

// Models that a worker has at once, those that were retired but are still in use among them.
inline constexpr std::uint32_t kModelSlotsMax = 1024;

// WorkerModelPlan of libs/contracts.
struct ModelPlan {
  std::string name;
  std::string version;
  // Names this model: positive, and no other model of the worker has it.
  std::uint32_t revision = 0;
  ModelOptions options;
  // Why this worker does not load it; empty: it does.
  std::string refusal{};
  // What loading it takes; 0: not known, and nothing is refused for want of memory.
  std::int64_t needBytes = 0;
  // It killed workers while it was loaded: the others come first.
  bool loadsLast = false;
  std::int64_t runRowsMax = 1;
  std::int64_t runTokensMax = 1;
  std::int64_t runTimeoutNs = 0;
  // Runs far past their predicted cost are ended as well; not where it was said how long they may take.
  bool endsByCost = true;
  // Equal items in flight run once.
  bool deduplicate = true;
  // Executors whose CPUs a run takes, from 1 to kExecutorThreadsMax.
  std::size_t executorThreads = 1;
  // Goal for the time of a live answer; 0: none.
  std::int64_t sloNs = 0;
  // File of its ProbeRecord; empty: none.
  std::string probeRecordPath{};
};

enum class ModelState : std::uint8_t { kLoading, kReady, kFailed };

// Thread-safe. Loading -> Ready or Failed, once. Belongs to ServedModels; whoever holds one keeps it.
class ServedModel {
 public:
  // What ServedModels gives it.
  struct Place {
    std::uint32_t slot = 0;
    std::shared_ptr<ModelStats> stats;
    std::uint8_t costsGeneration = 0;
  };
  ServedModel(ModelPlan plan, Place place)
      : plan_(std::move(plan)),
        label_(plan_.name + " version " + plan_.version),
        slot_(place.slot),
        stats_(std::move(place.stats)),
        costs_(place.costsGeneration) {}

  const ModelPlan& plan() const { return plan_; }
  // "name version 1", for messages.
  const std::string& label() const { return label_; }
  // A number below kModelSlotsMax that no other model has as long as this one is there.
  std::uint32_t slot() const { return slot_; }
  // Of all revisions of its name and version.
  ModelStats& stats() const { return *stats_; }
  QueueGauge& gauge() { return gauge_; }
  const QueueGauge& gauge() const { return gauge_; }
  ModelCosts& costs() { return costs_; }
  const ModelCosts& costs() const { return costs_; }

  // Null unless ready; lives as long as the model.
  Session* session() const { return ready_.load(std::memory_order_acquire); }  // pairs with Load

  // Does a run with these options, which computes on these helpers as well, under the watchdog; throws ProbeEnded when
  // it was ended.
  using Helpers = std::span<const ThreadTeam::Thread>;
  using Watched = std::function<void(ort::RunOptions* options, Helpers helpers, const std::function<void()>& run)>;

  // Loads the session and probes whether its rows may share runs, both on the calling thread; never throws. It is ready
  // then, or with `needsConfirmation` once it was confirmed.
  void Load(const std::shared_ptr<const ort::OrtLibrary>& library, const Watched& watched, bool needsConfirmation);
  // It was loaded and is to be confirmed.
  bool IsUnconfirmed() const;
  // Becomes ready, or has failed for `reason` unless that is empty. Does nothing where it is not to be confirmed.
  void Confirm(const std::string& reason);
  // It will not be loaded.
  void Fail(const std::string& reason);

  // No new items are to come; what has not begun to load need not.
  void Retire() { isRetired_.store(true, std::memory_order_relaxed); }
  bool isRetired() const { return isRetired_.load(std::memory_order_relaxed); }

  // A run of outsized items was made, whose memory is given back with it as far as its outputs allow, and with the
  // next.
  void OweTrim() { owesTrim_.store(true, std::memory_order_relaxed); }
  bool TakeOwedTrim() { return owesTrim_.load(std::memory_order_relaxed) && owesTrim_.exchange(false); }

  ModelState state() const;
  // Why it failed, or for how long it has been loading and about how far it is; empty otherwise.
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
  // ", about 40 % of 3.1 GiB"; empty where that is not known. Memory that others take meanwhile counts as its own.
  std::string Progress() const;
  // The longest shared run of a lane.
  std::int64_t RunNsMax(Lane lane) const;

  const ModelPlan plan_;
  const std::string label_;
  const std::uint32_t slot_;
  const std::shared_ptr<ModelStats> stats_;
  QueueGauge gauge_;
  ModelCosts costs_;
  std::unique_ptr<Session> session_;
  std::atomic<Session*> ready_{nullptr};
  std::atomic<bool> owesTrim_{false};
  std::atomic<bool> isRetired_{false};
  std::atomic<std::int64_t> loadSinceNs_{0};    // 0: it is not being loaded
  std::atomic<std::int64_t> loadFromBytes_{0};  // resident before the load
  mutable std::mutex mutex_;                    // guards the rest, and session_ until it is ready
  bool isUnconfirmed_ = false;
  ModelState state_ = ModelState::kLoading;
  std::string reason_;
};

}  // namespace interleave
