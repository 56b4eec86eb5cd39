#include "run/engine.h"

#include <malloc.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "clock.h"
#include "run/run_executor.h"

namespace interleave {
namespace {

// Probe rows are few and short.
constexpr std::int64_t kProbeRunNsMax = 10'000'000'000;
// What waits for a model that was retired, or runs on it, can keep its memory; a load waits for that no longer.
constexpr std::int64_t kLeavingNsMax = 5'000'000'000;
constexpr std::chrono::milliseconds kLeavingPoll{200};
constexpr const char* kStopping = "the worker is stopping";

std::string Gone(std::uint32_t revision) {
  return "revision " + std::to_string(revision) + " is gone: this worker does not serve it (any more)";
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
                                    kModelSlotsMax);
}

}  // namespace

Engine::Engine(EnginePlan plan)
    : plan_(std::move(plan)),
      gate_(MakeGate(plan_)),
      liveLane_(MakeLiveLane(plan_)),
      queue_({.lane = plan_.lane,
              .clientItemsMax = plan_.queueItemsMax,
              .cpus = plan_.cpus,
              .limits = [this](const ServedModel& model) { return LimitsOf(model); },
              .gate = gate_.get()}),
      answers_(queue_, liveLane_.get()),
      isolation_(plan_.cpus.size()),
      loadMemory_({.limitBytes = plan_.memoryBytes}),
      loaders_({.slowNs = plan_.slowLoadNs,
                .onStart =
                    [this] {
                      pthread_setname_np(pthread_self(), "model-loader");
                      IsolateHelper(plan_.lane);
                    },
                // Loading leaves much behind: files that were read, graphs before they were optimized. So do sessions
                // that were freed.
                .onIdle = [] { malloc_trim(0); }}),
      heartbeat_(plan_.heartbeatFd, LoaderSlot(plan_, kLoadersMax)),
      watchdog_({.executorsCount = LoaderSlot(plan_, kLoadersMax),
                 .mayBeHeldBack = plan_.lane == Lane::kBatch && !plan_.onGpu,
                 .onGiveUp = [this](std::size_t executor) { heartbeat_.Blame(executor); },
                 .onTick = [this] { OnTick(); }}) {
  for (const ModelPlan& model : plan_.models) models_.Add(WithTeams(model));
  const std::size_t executorsCount = plan_.cpus.size() + (HasExpress(plan_) ? 1 : 0);
  for (std::size_t i = 0; i < executorsCount; ++i) executors_.emplace_back([this, i] { ExecutorLoop(i); });
}

Engine::~Engine() { Close(); }

void Engine::LoadModels(std::shared_ptr<const ort::OrtLibrary> library, std::function<void()> onModelsChanged) {
  library_ = std::move(library);
  onModelsChanged_ = std::move(onModelsChanged);
  Load(models_.All());
}

void Engine::AddModels(std::vector<ModelPlan> plans) {
  std::vector<ServedModels::Model> added;
  try {
    for (ModelPlan& plan : plans) added.push_back(models_.Add(WithTeams(std::move(plan))));
  } catch (const std::invalid_argument&) {
    Load(std::move(added));
    throw;
  }
  Load(std::move(added));
}

void Engine::Load(std::vector<ServedModels::Model> models) {
  std::ranges::stable_partition(models, [](const ServedModels::Model& model) { return !model->plan().loadsLast; });
  std::vector<Loaders::Job> jobs;
  for (ServedModels::Model& model : models) {
    jobs.emplace_back([this, model = std::move(model)](std::size_t loader) { LoadOne(loader, *model); });
  }
  loaders_.Add(std::move(jobs));
}

bool Engine::Retire(std::uint32_t revision) {
  const ServedModels::Model model = models_.Remove(revision);
  if (model == nullptr) return false;
  for (const Probe& probe : queue_.TakeProbes(*model)) probe.done({.error = Gone(revision)});
  return true;
}

void Engine::Confirm(std::uint32_t revision, const std::string& reason) {
  if (const ServedModels::Model model = models_.Find(revision)) model->Confirm(reason);
}

Engine::Loads Engine::loads() const {
  Loads loads;
  for (const ServedModels::Model& model : models_.All()) {
    if (model->state() != ModelState::kLoading) continue;
    ++loads.loading;
    if (model->IsUnconfirmed()) loads.unconfirmed.push_back(model->plan().revision);
  }
  return loads;
}

void Engine::OnItem(Item item) {
  const ServedModels::Model found = models_.Find(item.revision);
  if (found == nullptr) return item.responder->Fail(ItemStatus::kGone, Gone(item.revision));
  const ServedModel& model = *found;
  const Session* session = model.session();
  if (session == nullptr) return Refuse(model, item, ItemStatus::kUnavailable, NotReady(model));
  QueuedItem queued{.item = std::move(item), .shape = {}, .enqueuedNs = MonotonicNowNs(), .model = found};
  const std::string wrong = CheckItem(session->signature(), queued.item, queued.shape);
  if (!wrong.empty()) return Refuse(model, queued.item, ItemStatus::kInvalid, wrong);
  if (model.plan().deduplicate && !queued.item.alone) queued.contentKey = ContentKey(queued.item);
  switch (queue_.Push(queued)) {
    case WorkQueue::Pushed::kAccepted:
      return;
    case WorkQueue::Pushed::kJoined:
      return model.stats().CountDuplicate();
    case WorkQueue::Pushed::kFull:
      return Refuse(model, queued.item, ItemStatus::kQueueFull,
                    std::to_string(plan_.queueItemsMax) + " items of this client wait or run already");
    case WorkQueue::Pushed::kClosed:
      return Refuse(model, queued.item, ItemStatus::kUnavailable, kStopping);
  }
}

void Engine::OnCancel(std::uint64_t clientId, std::uint64_t itemId) {
  answers_.FailAll(queue_.Cancel(clientId, itemId), ItemStatus::kCancelled, "cancelled by the client");
}

void Engine::OnClientGone(std::uint64_t clientId) {
  answers_.FailAll(queue_.DropClient(clientId), ItemStatus::kCancelled, "the client has gone");
}

void Engine::Measure(std::uint32_t revision, Probe probe) {
  probe.model = models_.Find(revision);
  if (probe.model == nullptr) return probe.done({.error = Gone(revision)});
  if (probe.model->session() == nullptr) return probe.done({.error = NotReady(*probe.model)});
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

void Engine::SetCostTable(std::uint32_t revision, CostGrid grid) {
  const ServedModels::Model model = models_.Find(revision);
  if (model == nullptr) throw std::invalid_argument(Gone(revision));
  model->costs().SetGrid(std::move(grid));
}

bool Engine::TakeRatioMoves() {
  bool hasMoved = false;
  for (const ServedModels::Model& model : models_.All()) hasMoved = model->costs().TakeRatioMove() || hasMoved;
  return hasMoved;
}

bool Engine::IsLoadingForLong() const {
  return std::ranges::any_of(models_.All(), [](const ServedModels::Model& model) { return model->loadingS() > 0; });
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

std::vector<AwakeCpu> Engine::executorCpus() {
  std::vector<AwakeCpu> cpus;
  for (std::size_t i = 0; i < plan_.cpus.size(); ++i) {
    AwakeCpu& own = cpus.emplace_back(plan_.cpus[i]);
    pthread_getcpuclockid(executors_[i].native_handle(), &own.executorClock);
  }
  return cpus;
}

ModelPlan Engine::WithTeams(ModelPlan plan) {
  const std::size_t width = plan.executorThreads;
  if (width == 1) return plan;
  const std::size_t teams = Teams::Count(plan_.cpus.size(), width);
  if (teams == 0 && plan.refusal.empty()) {
    plan.refusal = "executorThreads is " + std::to_string(width) + ", but this worker has " +
                   std::to_string(plan_.cpus.size()) + " CPUs; lower it, or place the model where there are more";
  }
  if (plan_.onGpu && plan.refusal.empty()) plan.refusal = "executorThreads needs a worker without a GPU; take it out";
  plan.options.helpers.cpus.clear();
  for (std::size_t team = 0; team < teams; ++team) {
    const auto leader = plan_.cpus.begin() + static_cast<std::ptrdiff_t>(team * width);
    plan.options.helpers.cpus.emplace_back(leader + 1, leader + static_cast<std::ptrdiff_t>(width));
  }
  plan.options.helpers.prepare = [this, width, revision = plan.revision](std::size_t team, int cpu) {
    pthread_setname_np(pthread_self(), ("helper-" + std::to_string(cpu)).substr(0, 15).c_str());
    IsolateExecutor(plan_.lane, cpu);
    heartbeat_.Help(revision, team * width);
  };
  return plan;
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
  RunExecutor runner({.lane = plan_.lane, .onGpu = plan_.onGpu, .executor = executor}, answers_, watchdog_, heartbeat_,
                     liveLane_.get());
  while (true) {
    WorkQueue::Work work = queue_.Take(executor);
    if (work.IsNone()) return;
    answers_.FailAll(std::move(work.expired), ItemStatus::kDeadlineExceeded, "the deadline passed while waiting");
    if (!work.items.empty()) {
      work.items[0].model->stats().CountFormation(work.formationNs);
      runner.Run(std::move(work.items));
    }
    if (work.probe) runner.Measure(*work.probe);
  }
}

void Engine::LoadOne(std::size_t loader, ServedModel& model) {
  if (model.isRetired() || model.state() == ModelState::kFailed) return;
  const std::size_t slot = LoaderSlot(plan_, loader);
  if (TakeMemory(loader, model)) {
    Heartbeat::Activity activity(heartbeat_, slot, model.plan().revision, Phase::kLoading);
    const auto watched = [&](ort::RunOptions* options, ServedModel::Helpers helpers, const std::function<void()>& run) {
      activity.Enter(Phase::kProbing);
      RunProbe(slot, model, options, helpers, run);
    };
    model.Load(library_, watched, plan_.confirmsLoads);
  }
  loadMemory_.End(loader);
  onModelsChanged_();
}

bool Engine::TakeMemory(std::size_t loader, ServedModel& model) {
  const ModelPlan& plan = model.plan();
  if (plan.options.cuda != nullptr || !plan.refusal.empty()) return true;
  LoadMemory::Room room;
  if (BeginLoad(loader, model, room)) return true;
  if (loaders_.IsStopping()) {
    model.Fail(kStopping);
    return false;
  }
  std::vector<LoadedNeed> loaded;
  for (const ServedModels::Model& other : models_.All()) {
    if (other->session() != nullptr) loaded.push_back({other->plan().name, other->plan().needBytes});
  }
  model.Fail(NoRoomText(plan.name, plan.needBytes, room, plan_.memoryBytes, loaded));
  return false;
}

bool Engine::BeginLoad(std::size_t loader, const ServedModel& model, LoadMemory::Room& room) {
  const std::int64_t needBytes = model.plan().needBytes;
  if (loadMemory_.Begin(loader, needBytes, room)) return true;
  const std::int64_t giveUpNs = MonotonicNowNs() + kLeavingNsMax;
  while (true) {
    // Asked before: what leaves after this is freed below.
    const bool isLast =
        models_.Leaving().empty() || model.isRetired() || loaders_.IsStopping() || MonotonicNowNs() > giveUpNs;
    models_.FreeUnused();
    malloc_trim(0);
    if (loadMemory_.Begin(loader, needBytes, room)) return true;
    if (isLast) return false;
    std::this_thread::sleep_for(kLeavingPoll);
  }
}

ModelLimits Engine::LimitsOf(const ServedModel& model) const {
  ModelLimits limits = model.Limits(plan_.lane);
  if (gate_ != nullptr) limits.runNsMax >>= gate_->halvings();
  return limits;
}

void Engine::OnTick() {
  const std::int64_t nowNs = MonotonicNowNs();
  answers_.FailAll(queue_.TakeExpired(nowNs), ItemStatus::kDeadlineExceeded, "the deadline passed while waiting");
  if (liveLane_ != nullptr) liveLane_->OnTick(nowNs);
  if (models_.HasUnused() && !isFreeing_.exchange(true)) {
    loaders_.AddFirst([this](std::size_t) {
      isFreeing_ = false;
      models_.FreeUnused();
    });
  }
  loaders_.OnTick(nowNs);
}

void Engine::RunProbe(std::size_t slot, const ServedModel& model, ort::RunOptions* options,
                      ServedModel::Helpers helpers, const std::function<void()>& run) {
  const std::int64_t timeNs = std::min(model.plan().runTimeoutNs, kProbeRunNsMax);
  const Watchdog::Watch watch(watchdog_, slot, *library_, options, model.label(), {.timeNs = timeNs}, helpers);
  try {
    run();
  } catch (const ort::OrtError&) {
    if (watch.ended() == Watchdog::Watch::Ended::kNo) throw;
    if (watch.ended() == Watchdog::Watch::Ended::kStopping) throw ProbeEnded(kStopping);
    throw ProbeEnded("a run took longer than " + std::to_string(timeNs / 1'000'000) + " ms");
  }
}

void Engine::Refuse(const ServedModel& model, const Item& item, ItemStatus status, const std::string& message) {
  model.stats().CountItem(status);
  item.responder->Fail(status, message);
}

std::string Engine::NotReady(const ServedModel& model) {
  if (model.state() == ModelState::kFailed) return model.label() + " cannot be served: " + model.reason();
  return model.label() + " is still loading";
}

}  // namespace interleave
