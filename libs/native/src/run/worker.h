// One worker: a channel server in front of an engine. The composition; knows neither node nor JavaScript.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "channel/server.h"
#include "isolation/awake_cpus.h"
#include "run/engine.h"

namespace interleave {

// WorkerPlan of libs/contracts.
struct WorkerOptions {
  std::string id;
  std::string socketPath;
  // CPUs are kept awake for this long after the last message of a client; 0: never.
  std::chrono::milliseconds awake{};
  // As AwakeOptions.loopRefusal.
  std::string loopRefusal;
  EnginePlan plan;
};

// Serving from construction on; models become ready one by one. Any thread.
class Worker {
 public:
  // Throws std::system_error when the socket cannot be opened.
  Worker(WorkerOptions options, std::shared_ptr<const ort::OrtLibrary> library);
  // As Close.
  ~Worker();

  // Refuses new items and waits until those it has are answered; false when `timeout` did not suffice. Channels stay.
  bool Drain(std::chrono::milliseconds timeout);

  // Answers what is left with kUnavailable, ends what runs, closes the channels. Idempotent.
  void Close();

  // As Engine::Retire and then Engine::AddModels; clients are told once, before the first load is over.
  void ChangeModels(std::span<const std::uint32_t> retired, std::vector<ModelPlan> added);

  // As Engine::Confirm; clients are told.
  void Confirm(std::uint32_t revision, const std::string& reason);

  // As Engine::Measure.
  void Measure(std::uint32_t revision, Probe probe) { engine_.Measure(revision, std::move(probe)); }

  // As Engine::SetCostTable; clients are told.
  void SetCostTable(std::uint32_t revision, CostGrid grid);
  // Tells clients about cost ratios that have moved since they were told, and for how long models have been loading.
  void TellChanges();

  // ModelReport[] of libs/contracts as JSON.
  std::string ModelsJson() const { return ReportsJson(engine_.models()); }
  const Engine& engine() const { return engine_; }
  // Any thread.
  const IsolationTool& idleLatency() const { return awakeCpus_.tool(); }
  // CPU time that was spent on keeping CPUs awake. Any thread.
  std::uint64_t awakeNs() const { return awakeCpus_.loopNs(); }
  ChannelServerStats channelStats() const { return server_.Stats(); }

 private:
  // Any thread: the last report that clients get is the newest.
  void Publish();
  // WorkerReport of libs/contracts as JSON: what clients are told.
  std::string ReportJson() const;

  ChannelServerOptions ServerOptions(std::string socketPath, std::chrono::milliseconds awake);

  const std::string id_;
  const Lane lane_;
  Engine engine_;
  AwakeCpus awakeCpus_;  // belongs to the server's I/O thread
  ChannelServer server_;
  std::mutex publishMutex_;
};

}  // namespace interleave
