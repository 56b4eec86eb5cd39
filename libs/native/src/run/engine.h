// A worker without its channel: models, queue and executors behind the ItemSink.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/live_lane.h"
#include "control/run_gate.h"
#include "isolation/awake_loops.h"
#include "isolation/thread_isolation.h"
#include "item.h"
#include "run/answers.h"
#include "run/heartbeat.h"
#include "run/load_memory.h"
#include "run/loaders.h"
#include "run/served_models.h"
#include "run/watchdog.h"
#include "run/work_queue.h"

namespace interleave {

struct EnginePlan {
  Lane lane = Lane::kRealtime;
  std::vector<int> cpus{};           // one executor each, pinned to it; one more in the realtime lane, see work_queue.h
  std::vector<ModelPlan> models{};   // to begin with
  std::size_t queueItemsMax = 1024;  // per client
  // Of its process; 0: as much as the machine has left. What does not fit is not loaded.
  std::int64_t memoryBytes = 0;
  // Runs wait for another device: the CPU time of their threads says nothing about them.
  bool onGpu = false;
  // A model that was loaded is ready only once Confirm says so.
  bool confirmsLoads = false;
  // A load that takes longer holds up no other model.
  std::int64_t slowLoadNs = LoadersOptions{}.slowNs;
  int heartbeatFd = -1;  // the file of the Heartbeat; negative: none
  // Control pages: this worker's own, empty for none, and those of the workers of the other lane beside it.
  std::string controlPagePath{};
  std::vector<std::string> otherControlPagePaths{};
};

// Serving -> Draining (Drain: new items are refused) -> Closed (Close: the same). OnItem, OnCancel and OnClientGone may
// be called in every state, by one thread; everything else from any thread.
class Engine : public ItemSink {
 public:
  // Starts the executors. Every model is loading until LoadModels comes to it. Throws std::system_error when a page
  // cannot be had, std::invalid_argument for a revision that the plan has twice.
  explicit Engine(EnginePlan plan);
  // As Close.
  ~Engine() override;

  // Loads the models of the plan as AddModels does; `onModelsChanged` is called on the threads that load after each.
  // Called once, before Close and before the four below.
  void LoadModels(std::shared_ptr<const ort::OrtLibrary> library, std::function<void()> onModelsChanged);

  // Loads more models on threads of its own, in this order but those last that say so, behind those that wait already.
  // Throws std::invalid_argument for a revision that is there already; the ones before it are added.
  void AddModels(std::vector<ModelPlan> plans);

  // Refuses new items and measurements of a model with kGone from now on. Items that were accepted are answered by it
  // as ever; once they are its memory is freed, within tens of ms. False: there is no such revision (any more).
  bool Retire(std::uint32_t revision);

  // What was loaded becomes ready, or has failed for `reason` unless that is empty. Nothing happens to a revision that
  // is gone or waits for no confirmation.
  void Confirm(std::uint32_t revision, const std::string& reason);

  struct Loads {
    std::size_t loading = 0;                 // models that are neither ready nor have failed
    std::vector<std::uint32_t> unconfirmed;  // revisions of those among them that wait for Confirm
  };
  Loads loads() const;

  void OnItem(Item item) override;
  void OnCancel(std::uint64_t clientId, std::uint64_t itemId) override;
  void OnClientGone(std::uint64_t clientId) override;

  // Measures one run of the revision with `rows` made-up rows of `length` tokens, on an executor for which nothing
  // waits; `done` is called exactly once, from any thread, with the thread's CPU time or why there is none. `model` of
  // the probe need not be set.
  void Measure(std::uint32_t revision, Probe probe);

  // Gives a model a measured cost table. Throws std::invalid_argument that says what is wrong with the grid, or that
  // the revision is gone.
  void SetCostTable(std::uint32_t revision, CostGrid grid);
  // The cost ratio of a model has moved by more than 5 % since this last returned true.
  bool TakeRatioMoves();
  // A model has been loading for long enough for its reason to say so.
  bool IsLoadingForLong() const;

  // Refuses new items and waits until every accepted one is answered; false when `timeoutNs` did not suffice.
  bool Drain(std::int64_t timeoutNs);

  // Answers what waits with kUnavailable, ends what runs, joins every thread. Waits for the models that are being
  // loaded. Idempotent.
  void Close();

  const ServedModels& models() const { return models_; }
  // Per executor, in the order of the plan's CPUs.
  std::vector<std::vector<IsolationTool>> isolation() const;
  // Each executor's CPU, with the clock of its CPU time.
  std::vector<AwakeCpu> executorCpus();

 private:
  void Isolate(std::size_t executor);
  // The plan with the teams that this worker's executors make up for its runs.
  ModelPlan WithTeams(ModelPlan plan);
  void ExecutorLoop(std::size_t executor);
  void Load(std::vector<ServedModels::Model> models);
  void LoadOne(std::size_t loader, ServedModel& model);
  // False: there is no memory for it, and it has failed.
  bool TakeMemory(std::size_t loader, ServedModel& model);
  // The same of LoadMemory, but frees what is unused and waits a while for what is leaving.
  bool BeginLoad(std::size_t loader, const ServedModel& model, LoadMemory::Room& room);
  // Under the watchdog, on the loader's thread. Throws ProbeEnded when the run was ended.
  void RunProbe(std::size_t slot, const ServedModel& model, ort::RunOptions* options, ServedModel::Helpers helpers,
                const std::function<void()>& run);
  // No more items and probes are accepted; probes that wait are answered.
  void StopAccepting();
  static void Refuse(const ServedModel& model, const Item& item, ItemStatus status, const std::string& message);
  ModelLimits LimitsOf(const ServedModel& model) const;
  // Every 20 ms, or 100 ms while nothing runs.
  void OnTick();
  // Why the model cannot take items now.
  static std::string NotReady(const ServedModel& model);

  const EnginePlan plan_;
  ServedModels models_;                       // outlives all that may hold one
  const std::unique_ptr<RunGate> gate_;       // null in the realtime lane, or without lane control
  const std::unique_ptr<LiveLane> liveLane_;  // null in the batch lane, or without lane control
  WorkQueue queue_;
  const Answers answers_;
  std::shared_ptr<const ort::OrtLibrary> library_;  // these two: set before the first load
  std::function<void()> onModelsChanged_;
  mutable std::mutex isolationMutex_;  // guards isolation_, written once by each executor
  std::vector<std::vector<IsolationTool>> isolation_;
  std::once_flag closed_;
  LoadMemory loadMemory_;
  std::atomic<bool> isFreeing_{false};  // a loader is to free what is unused
  Loaders loaders_;
  Heartbeat heartbeat_;  // a slot for each executor, the express executor and each loader
  Watchdog watchdog_;    // the same slots
  std::vector<std::thread> executors_;
};

}  // namespace interleave
