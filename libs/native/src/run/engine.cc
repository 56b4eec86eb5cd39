#include "run/engine.h"

#include <malloc.h>
#include <pthread.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "clock.h"
#include "run/run_executor.h"

namespace interleave {
namespace {

// Probe rows are few and short.
constexpr std::int64_t kProbeRunNsMax = 10'000'000'000;
constexpr const char* kStopping = "the worker is stopping";

ServedModels MakeModels(const std::vector<ModelPlan>& plans) {
  ServedModels models;
  for (const ModelPlan& plan : plans) models.push_back(std::make_unique<ServedModel>(plan));
  return models;
}

std::vector<MappedControlPage> OpenPages(const std::vector<std::string>& paths) { return {paths.begin(), paths.end()}; }

// Slots of the heartbeat and the watchdog: executors, the express executor (there or not), loaders.
std::size_t LoaderSlot(const EnginePlan& plan, std::size_t loader) { return plan.cpus.size() + 1 + loader; }

// Where the kernel can run it beside a run in progress.
bool HasExpress(const EnginePlan& plan) { return plan.lane == Lane::kRealtime && !plan.onGpu; }

std::unique_ptr<RunGate> MakeGate(const EnginePlan& plan) {
  if (plan.lane != Lane::kBatch || plan.controlPagePath.empty()) return nullptr;
  return std::make_unique<RunGate>(MappedControlPage(plan.controlPagePath), OpenPages(plan.otherControlPagePaths),
                                   plan.cpus.size());
}

std::unique_ptr<LiveLane> MakeLiveLane(const EnginePlan& plan) {
  if (plan.lane != Lane::kRealtime || plan.controlPagePath.empty()) return nullptr;
  return std::make_unique<LiveLane>(MappedControlPage(plan.controlPagePath), OpenPages(plan.otherControlPagePaths),
                                    plan.models.size());
}

}  // namespace

Engine::Engine(EnginePlan plan)
    : plan_(std::move(plan)),
      models_(MakeModels(plan_.models)),
      gate_(MakeGate(plan_)),
      liveLane_(MakeLiveLane(plan_)),
      queue_({.lane = plan_.lane,
              .modelsCount = models_.size(),
              .clientItemsMax = plan_.queueItemsMax,
              .cpus = plan_.cpus,
              .limits =
                  [this](std::vector<ModelLimits>& limits) {
                    for (std::size_t i = 0; i < limits.size(); ++i) {
                      limits[i] = models_[i]->Limits(plan_.lane);
                      if (gate_ != nullptr) limits[i].runNsMax >>= gate_->halvings();
                    }
                  },
              .gate = gate_.get()}),
      answers_(queue_, models_, liveLane_.get()),
      isolation_(plan_.cpus.size()),
      loaders_({.slowNs = plan_.slowLoadNs,
                .load = [this](std::size_t loader, std::size_t model) { LoadOne(loader, model); },
                .onStart =
                    [this] {
                      pthread_setname_np(pthread_self(), "model-loader");
                      IsolateHelper(plan_.lane);
                    },
                // Loading leaves much behind: files that were read, graphs before they were optimized.
                .onIdle = [] { malloc_trim(0); }}),
      heartbeat_(plan_.heartbeatFd, LoaderSlot(plan_, kLoadersMax)),
      watchdog_({.executorsCount = LoaderSlot(plan_, kLoadersMax),
                 .mayBeHeldBack = plan_.lane == Lane::kBatch && !plan_.onGpu,
                 .onGiveUp = [this](std::size_t executor) { heartbeat_.Blame(executor); },
                 .onTick =
                     [this] {
                       const std::int64_t nowNs = MonotonicNowNs();
                       answers_.FailAll(queue_.TakeExpired(nowNs), ItemStatus::kDeadlineExceeded,
                                        "the deadline passed while waiting");
                       if (liveLane_ != nullptr) liveLane_->OnTick(nowNs);
                       loaders_.OnTick(nowNs);
                     }}) {
  const std::size_t executorsCount = plan_.cpus.size() + (HasExpress(plan_) ? 1 : 0);
  for (std::size_t i = 0; i < executorsCount; ++i) executors_.emplace_back([this, i] { ExecutorLoop(i); });
}

Engine::~Engine() { Close(); }

void Engine::LoadModels(std::shared_ptr<const ort::OrtLibrary> library, std::function<void()> onModelsChanged) {
  library_ = std::move(library);
  onModelsChanged_ = std::move(onModelsChanged);
  std::vector<std::size_t> order(models_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_partition(order, [this](std::size_t model) { return !plan_.models[model].loadsLast; });
  loaders_.Add(order);
}

void Engine::OnItem(Item item) {
  if (item.model >= models_.size()) {
    item.responder->Fail(ItemStatus::kInvalid, "model number " + std::to_string(item.model) + ": the worker has " +
                                                   std::to_string(models_.size()) + " models");
    return;
  }
  ServedModel& model = *models_[item.model];
  if (model.session() == nullptr) return Refuse(item, ItemStatus::kUnavailable, NotReady(model));
  QueuedItem queued{.item = std::move(item), .shape = {}, .enqueuedNs = MonotonicNowNs()};
  const std::string wrong = CheckItem(model.session()->signature(), queued.item, queued.shape);
  if (!wrong.empty()) return Refuse(queued.item, ItemStatus::kInvalid, wrong);
  if (model.plan().deduplicate && !queued.item.alone) queued.contentKey = ContentKey(queued.item);
  switch (queue_.Push(queued)) {
    case WorkQueue::Pushed::kAccepted:
      return;
    case WorkQueue::Pushed::kJoined:
      return model.stats().CountDuplicate();
    case WorkQueue::Pushed::kFull:
      return Refuse(queued.item, ItemStatus::kQueueFull,
                    std::to_string(plan_.queueItemsMax) + " items of this client wait or run already");
    case WorkQueue::Pushed::kClosed:
      return Refuse(queued.item, ItemStatus::kUnavailable, kStopping);
  }
}

void Engine::OnCancel(std::uint64_t clientId, std::uint64_t itemId) {
  answers_.FailAll(queue_.Cancel(clientId, itemId), ItemStatus::kCancelled, "cancelled by the client");
}

void Engine::OnClientGone(std::uint64_t clientId) {
  answers_.FailAll(queue_.DropClient(clientId), ItemStatus::kCancelled, "the client has gone");
}

void Engine::Measure(Probe probe) {
  if (probe.model >= models_.size()) return probe.done({.error = "no such model"});
  if (models_[probe.model]->session() == nullptr) return probe.done({.error = NotReady(*models_[probe.model])});
  switch (queue_.PushProbe(probe)) {
    case WorkQueue::Pushed::kAccepted:
    case WorkQueue::Pushed::kJoined:
      return;
    case WorkQueue::Pushed::kFull:
      return probe.done({.error = "too many measurements wait already"});
    case WorkQueue::Pushed::kClosed:
      return probe.done({.error = kStopping});
  }
}

void Engine::SetCostTable(std::size_t model, CostGrid grid) {
  if (model >= models_.size()) throw std::invalid_argument("no model number " + std::to_string(model));
  models_[model]->costs().SetGrid(std::move(grid));
}

bool Engine::TakeRatioMoves() {
  bool hasMoved = false;
  for (const auto& model : models_) hasMoved = model->costs().TakeRatioMove() || hasMoved;
  return hasMoved;
}

bool Engine::IsLoadingForLong() const {
  return std::ranges::any_of(models_, [](const auto& model) { return model->loadingS() > 0; });
}

void Engine::StopAccepting() {
  queue_.Close();
  for (const Probe& probe : queue_.TakeProbes()) probe.done({.error = kStopping});
}

bool Engine::Drain(std::int64_t timeoutNs) {
  StopAccepting();
  return queue_.WaitUntilIdle(timeoutNs);
}

void Engine::Close() {
  std::call_once(closed_, [this] {
    StopAccepting();
    answers_.FailAll(queue_.TakeAll(), ItemStatus::kUnavailable, kStopping);
    watchdog_.EndAllRuns();
    loaders_.Stop();
    for (std::thread& executor : executors_) executor.join();
  });
}

std::vector<std::vector<IsolationTool>> Engine::isolation() const {
  const std::scoped_lock lock(isolationMutex_);
  return isolation_;
}

void Engine::Isolate(std::size_t executor) {
  if (executor == plan_.cpus.size()) {
    pthread_setname_np(pthread_self(), "executor-ahead");
    return IsolateExpress(plan_.cpus);
  }
  const int cpu = plan_.cpus[executor];
  pthread_setname_np(pthread_self(), ("executor-" + std::to_string(cpu)).substr(0, 15).c_str());
  auto tools = IsolateExecutor(plan_.lane, cpu);
  const std::scoped_lock lock(isolationMutex_);
  isolation_[executor] = std::move(tools);
}

void Engine::ExecutorLoop(std::size_t executor) {
  Isolate(executor);
  RunExecutor runner({.lane = plan_.lane, .onGpu = plan_.onGpu, .executor = executor}, models_, answers_, watchdog_,
                     heartbeat_, liveLane_.get());
  while (true) {
    WorkQueue::Work work = queue_.Take(executor);
    if (work.IsNone()) return;
    answers_.FailAll(std::move(work.expired), ItemStatus::kDeadlineExceeded, "the deadline passed while waiting");
    if (!work.items.empty()) {
      models_[work.items[0].item.model]->stats().CountFormation(work.formationNs);
      runner.Run(std::move(work.items));
    }
    if (work.probe) runner.Measure(*work.probe);
  }
}

void Engine::LoadOne(std::size_t loader, std::size_t model) {
  const std::size_t slot = LoaderSlot(plan_, loader);
  {
    Heartbeat::Activity activity(heartbeat_, slot, model, Phase::kLoading);
    models_[model]->Load(library_, [&](ort::RunOptions* options, const std::function<void()>& run) {
      activity.Enter(Phase::kProbing);
      RunProbe(slot, *models_[model], options, run);
    });
  }
  onModelsChanged_();
}

void Engine::RunProbe(std::size_t slot, const ServedModel& model, ort::RunOptions* options,
                      const std::function<void()>& run) {
  const std::int64_t timeNs = std::min(model.plan().runTimeoutNs, kProbeRunNsMax);
  const Watchdog::Watch watch(watchdog_, slot, *library_, options, model.label(), {.timeNs = timeNs});
  try {
    run();
  } catch (const ort::OrtError&) {
    if (watch.ended() == Watchdog::Watch::Ended::kNo) throw;
    if (watch.ended() == Watchdog::Watch::Ended::kStopping) throw ProbeEnded(kStopping);
    throw ProbeEnded("a run took longer than " + std::to_string(timeNs / 1'000'000) + " ms");
  }
}

void Engine::Refuse(const Item& item, ItemStatus status, const std::string& message) {
  models_[item.model]->stats().CountItem(status);
  item.responder->Fail(status, message);
}

std::string Engine::NotReady(const ServedModel& model) {
  if (model.state() == ModelState::kFailed) return model.label() + " cannot be served: " + model.reason();
  return model.label() + " is still loading";
}

}  // namespace interleave
