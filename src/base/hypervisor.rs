//! What runs this machine, as CPUID tells: hypervisors sign leaf 0x40000000.

/// The hypervisor's name by its signature, the signature itself where that is not a
/// known one, and None where there is none, as on bare metal and in a Xen PV guest.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub fn signature() -> Option<String> {
    use raw_cpuid::{CpuId, Hypervisor};

    let hypervisor = CpuId::new().get_hypervisor_info()?.identify();
    Some(match hypervisor {
        Hypervisor::Xen => "xen".to_owned(),
        Hypervisor::VMware => "vmware".to_owned(),
        Hypervisor::HyperV => "hyper-v".to_owned(),
        Hypervisor::KVM => "kvm".to_owned(),
        Hypervisor::QEMU => "qemu-tcg".to_owned(),
        Hypervisor::Bhyve => "bhyve".to_owned(),
        Hypervisor::QNX => "qnx".to_owned(),
        Hypervisor::ACRN => "acrn".to_owned(),
        Hypervisor::Unknown(ebx, ecx, edx) => [ebx, ecx, edx]
            .iter()
            .flat_map(|register| register.to_le_bytes())
            .take_while(|byte| *byte != 0)
            .map(|byte| char::from(if byte.is_ascii_graphic() { byte } else { b'?' }))
            .collect(),
    })
}

/// Other CPUs have no such leaf.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub fn signature() -> Option<String> {
    None
}
