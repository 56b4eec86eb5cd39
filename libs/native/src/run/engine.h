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
#include "isolation/thread_isolation.h"
#include "item.h"
#include "run/answers.h"
#include "run/heartbeat.h"
#include "run/loaders.h"
#include "run/served_model.h"
#include "run/watchdog.h"
#include "run/work_queue.h"

namespace interleave {

struct EnginePlan {
  Lane lane = Lane::kRealtime;
  std::vector<int> cpus{};  // one executor each, pinned to it; one more in the realtime lane, see work_queue.h
  std::vector<ModelPlan> models{};
  std::size_t queueItemsMax = 1024;  // per client
  // Runs wait for another device: the CPU time of their threads says nothing about them.
  bool onGpu = false;
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
  // cannot be had.
  explicit Engine(EnginePlan plan);
  // As Close.
  ~Engine() override;

  // Loads the models on threads of its own, in the order of the plan but those last that it says so of;
  // `onModelsChanged` is called on these threads after each. Called once, before Close.
  void LoadModels(std::shared_ptr<const ort::OrtLibrary> library, std::function<void()> onModelsChanged);

  void OnItem(Item item) override;
  void OnCancel(std::uint64_t clientId, std::uint64_t itemId) override;
  void OnClientGone(std::uint64_t clientId) override;

  // Measures one run of `model` with `rows` made-up rows of `length` tokens, on an executor for which nothing waits;
  // `done` is called exactly once, from any thread, with the thread's CPU time or why there is none.
  void Measure(Probe probe);

  // Gives model number `model` a measured cost table. Throws std::invalid_argument that says what is wrong with the
  // grid.
  void SetCostTable(std::size_t model, CostGrid grid);
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
  const QueueGauge& queueGauge(std::size_t model) const { return queue_.gauge(model); }
  // Per executor, in the order of the plan's CPUs.
  std::vector<std::vector<IsolationTool>> isolation() const;

 private:
  void Isolate(std::size_t executor);
  void ExecutorLoop(std::size_t executor);
  void LoadOne(std::size_t loader, std::size_t model);
  // Under the watchdog, on the loader's thread. Throws ProbeEnded when the run was ended.
  void RunProbe(std::size_t slot, const ServedModel& model, ort::RunOptions* options, const std::function<void()>& run);
  // No more items and probes are accepted; probes that wait are answered.
  void StopAccepting();
  void Refuse(const Item& item, ItemStatus status, const std::string& message);
  // Why the model cannot take items now.
  static std::string NotReady(const ServedModel& model);

  const EnginePlan plan_;
  ServedModels models_;
  const std::unique_ptr<RunGate> gate_;       // null in the realtime lane, or without lane control
  const std::unique_ptr<LiveLane> liveLane_;  // null in the batch lane, or without lane control
  WorkQueue queue_;
  const Answers answers_;
  std::shared_ptr<const ort::OrtLibrary> library_;  // these two: set before the first load
  std::function<void()> onModelsChanged_;
  mutable std::mutex isolationMutex_;  // guards isolation_, written once by each executor
  std::vector<std::vector<IsolationTool>> isolation_;
  std::once_flag closed_;
  Loaders loaders_;
  Heartbeat heartbeat_;  // a slot for each executor, the express executor and each loader
  Watchdog watchdog_;    // the same slots
  std::vector<std::thread> executors_;
};

}  // namespace interleave
