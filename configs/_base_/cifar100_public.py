# What the public CIFAR-100 teachers of CRD and mdistiller were trained with:
# mean (0.5071, 0.4867, 0.4408) and std (0.2675, 0.2565, 0.2761), times 255
public_statistics = dict(
    mean=[129.3105, 124.1085, 112.404], std=[68.2125, 65.4075, 70.4055]
)
