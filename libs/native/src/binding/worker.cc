#include "binding/worker.h"

#include <functional>
#include <memory>

#include "binding/control.h"
#include "binding/convert.h"
#include "binding/worker_convert.h"
#include "run/worker.h"

namespace interleave::binding {
namespace {

constexpr napi_type_tag kHandleTag = {0x7b1e6f0c55d94a12, 0xa83cd0417e2f9b66};

// What a JS handle owns. Work on the pool holds the worker as well, so that it outlives the handle meanwhile.
struct Handle {
  std::shared_ptr<Worker> worker;
  ModelSurroundings surroundings;
};

Napi::Object WrapHandle(Napi::Env env, Handle made) {
  Napi::Object object = Napi::Object::New(env);
  auto handle = std::make_unique<Handle>(std::move(made));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Handle*>(data); };
  if (napi_wrap(env, object, handle.get(), finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  handle.release();
  if (napi_type_tag_object(env, object, &kHandleTag) != napi_ok) throw Napi::Error::New(env);
  return object;
}

const Handle& HandleOf(const Napi::CallbackInfo& info) {
  const Napi::Object object = ObjectOf(info[0], "worker");
  bool tagged = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(info.Env(), object, &kHandleTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(info.Env(), object, &data) != napi_ok) {
    ThrowExpected(info.Env(), "a worker", "worker");
  }
  return *static_cast<Handle*>(data);
}

const std::shared_ptr<Worker>& WorkerOf(const Napi::CallbackInfo& info) { return HandleOf(info).worker; }

// Runs `work` on a thread of the pool and resolves with what it returns.
class PoolWork : public Napi::AsyncWorker {
 public:
  PoolWork(Napi::Env env, std::function<bool()> work)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {}

  // Deletes itself once the promise is settled.
  static Napi::Promise Start(Napi::Env env, std::function<bool()> work) {
    auto* pending = new PoolWork(env, std::move(work));
    const Napi::Promise promise = pending->deferred_.Promise();
    pending->Queue();
    return promise;
  }

 protected:
  void Execute() override { result_ = work_(); }
  void OnOK() override { deferred_.Resolve(Napi::Boolean::New(Env(), result_)); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  const Napi::Promise::Deferred deferred_;
  const std::function<bool()> work_;
  bool result_ = false;
};

}  // namespace

Napi::Value WorkerStart(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  ModelSurroundings surroundings = SurroundingsOf(options);
  WorkerOptions worker = WorkerOptionsOf(options, surroundings);
  try {
    const auto library = ort::OrtLibrary::Load(StringOf(options, "ortLibraryPath"));
    return WrapHandle(info.Env(), {std::make_shared<Worker>(std::move(worker), library), std::move(surroundings)});
  } catch (const ort::OrtError& error) {
    throw Napi::Error::New(info.Env(), error.what());
  } catch (const std::invalid_argument& error) {
    throw Napi::RangeError::New(info.Env(), error.what());
  } catch (const std::system_error& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

Napi::Value WorkerModels(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), WorkerOf(info)->ModelsJson());
}

Napi::Value WorkerChangeModels(const Napi::CallbackInfo& info) {
  const Handle& handle = HandleOf(info);
  const Napi::Object change = ObjectOf(info[1], "change");
  const std::vector<std::uint32_t> retired = RevisionsOf(change, "retired");
  std::vector<ModelPlan> added = ModelPlansOf(change.Get("added"), handle.surroundings);
  try {
    handle.worker->ChangeModels(retired, std::move(added));
  } catch (const std::invalid_argument& error) {
    throw Napi::RangeError::New(info.Env(), error.what());
  } catch (const std::system_error& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
  return info.Env().Undefined();
}

Napi::Value WorkerLoads(const Napi::CallbackInfo& info) {
  const Engine::Loads loads = WorkerOf(info)->engine().loads();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("loading", static_cast<double>(loads.loading));
  object.Set("unconfirmed", RevisionsToJs(info.Env(), loads.unconfirmed));
  return object;
}

Napi::Value WorkerLeaving(const Napi::CallbackInfo& info) {
  return RevisionsToJs(info.Env(), WorkerOf(info)->engine().models().Leaving());
}

Napi::Value WorkerConfirm(const Napi::CallbackInfo& info) {
  const Napi::Object confirmation = ObjectOf(info[1], "confirmation");
  const bool isGood = confirmation.Get("reason").IsNull();
  WorkerOf(info)->Confirm(RevisionOf(confirmation), isGood ? "" : StringOf(confirmation, "reason"));
  return info.Env().Undefined();
}

Napi::Value WorkerStats(const Napi::CallbackInfo& info) { return StatsToJs(info.Env(), WorkerOf(info)->engine()); }

Napi::Value WorkerIsolation(const Napi::CallbackInfo& info) {
  return IsolationToJs(info.Env(), WorkerOf(info)->engine());
}

Napi::Value WorkerIdleLatency(const Napi::CallbackInfo& info) {
  return ToolToJs(info.Env(), WorkerOf(info)->idleLatency());
}

Napi::Value WorkerAwakeSeconds(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(WorkerOf(info)->awakeNs()) / 1e9);
}

Napi::Value WorkerService(const Napi::CallbackInfo& info) {
  return ServiceToJs(info.Env(), WorkerOf(info)->engine().models());
}

Napi::Value WorkerMeasure(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::shared_ptr<Worker> worker = WorkerOf(info);
  const Napi::Object options = ObjectOf(info[1], "probe");
  const std::uint32_t revision = RevisionOf(options);
  Probe probe = ProbeOf(options);
  const Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
  const auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  auto settle = Napi::ThreadSafeFunction::New(env, nothing, "interleave measure", 0, 1);
  probe.done = [deferred, settle](const ProbeResult& result) {
    // Fails only when the process ends, and with it whoever waits.
    settle.BlockingCall([deferred, result](Napi::Env env, Napi::Function) {
      if (result.error.empty()) {
        deferred.Resolve(Napi::Number::New(env, static_cast<double>(result.cpuNs)));
      } else {
        deferred.Reject(Napi::Error::New(env, result.error).Value());
      }
    });
    settle.Release();
  };
  worker->Measure(revision, std::move(probe));
  return deferred.Promise();
}

Napi::Value WorkerSetCostTable(const Napi::CallbackInfo& info) {
  const Napi::Object table = ObjectOf(info[1], "table");
  try {
    WorkerOf(info)->SetCostTable(RevisionOf(table), CostGridOf(ObjectOf(table.Get("grid"), "grid")));
  } catch (const std::invalid_argument& error) {
    throw Napi::RangeError::New(info.Env(), error.what());
  }
  return info.Env().Undefined();
}

Napi::Value WorkerTellChanges(const Napi::CallbackInfo& info) {
  WorkerOf(info)->TellChanges();
  return info.Env().Undefined();
}

Napi::Value WorkerDrain(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Worker> worker = WorkerOf(info);
  const std::chrono::milliseconds timeout(IntegerOf(info[1], "timeoutMs", INT32_MAX));
  return PoolWork::Start(info.Env(), [worker, timeout] { return worker->Drain(timeout); });
}

Napi::Value WorkerClose(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Worker> worker = WorkerOf(info);
  return PoolWork::Start(info.Env(), [worker] {
    worker->Close();
    return true;
  });
}

Napi::Value InspectRuntime(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  try {
    const auto library = ort::OrtLibrary::Load(StringOf(options, "ortLibraryPath"));
    const std::vector<std::string> names = library->Providers();
    Napi::Array providers = Napi::Array::New(info.Env(), names.size());
    for (std::uint32_t i = 0; i < names.size(); ++i) providers.Set(i, names[i]);
    Napi::Object report = Napi::Object::New(info.Env());
    report.Set("version", library->version());
    report.Set("providers", providers);
    return report;
  } catch (const ort::OrtError& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

}  // namespace interleave::binding
